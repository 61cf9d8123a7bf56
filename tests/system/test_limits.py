"""Many at once, and what runs out: names, slots, ports, images, room."""
import concurrent.futures
import gzip
import socket
import tarfile

import pytest
from harness import testbed
from harness.api import Problem
from harness.node import GIB
from harness.shell import run, wait_for

BODY = {"image": "busybox", "driver": "fake"}


def at_once(jobs, count=16):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return [done.result() for done in [pool.submit(job) for job in jobs]]


def create(node, name, **fields):
    return node.api.send("POST", "/v1/guests", BODY | {"name": name} | fields, query={"wait": 60})


def test_two_creates_of_one_name_at_once_make_one_guest(fake):
    for n in range(10):
        name = f"twin{n}.example.org"
        answers = at_once([lambda name=name: create(fake, name)] * 2)
        assert sorted(a.status for a in answers) == [200, 409], [a.text for a in answers]
        assert [a.json["code"] for a in answers if a.status == 409] == ["exists"]
        fake.api.destroy(name)


def test_a_hundred_creates_at_once_all_succeed_with_nothing_shared(fake):
    names = [f"n{n}.example.org" for n in range(100)]
    answers = at_once([lambda name=name: create(fake, name) for name in names], 100)
    assert {a.status for a in answers} == {200}, [a.text for a in answers if a.status != 200][:3]
    guests = fake.api.guests()
    assert sorted(g["name"] for g in guests) == sorted(names)
    for what in (lambda g: g["id"], lambda g: g["network"]["address"], lambda g: g["network"]["mac"],
                 lambda g: g["ssh"]["port"]):
        assert len({what(g) for g in guests}) == 100
    assert fake.api.get("/v1/node/slots")["used"] == 100
    at_once([lambda name=name: fake.api.destroy(name) for name in names], 100)
    assert fake.api.guests() == [] and fake.api.get("/v1/ports")["ports"] == []
    fake.assert_empty()


def test_a_list_is_paged_without_loss(fake):
    names = sorted(f"p{n}.example.org" for n in range(25))
    at_once([lambda name=name: create(fake, name, start=False) for name in names])
    seen, query = [], {"limit": 10}
    while True:
        page = fake.api.get("/v1/guests", **query)
        assert len(page["guests"]) <= 10
        seen += [g["name"] for g in page["guests"]]
        if "next" not in page:
            break
        query["after"] = page["next"]
    assert seen == names
    only = fake.api.call("GET", "/v1/guests", query={"name": "p1*.example.org", "state": "stopped",
                                                     "driver": "fake"}).json["guests"]
    assert [g["name"] for g in only] == [n for n in names if n.startswith("p1")]
    at_once([lambda name=name: fake.api.destroy(name) for name in names])


def test_a_full_node_answers_409_and_says_so(make_node):
    node = make_node(drivers=("fake",), settings={"slots": 3})
    answers = at_once([lambda n=n: create(node, f"s{n}.example.org") for n in range(8)])
    assert sorted(a.status for a in answers) == [200] * 3 + [409] * 5
    assert {a.json["code"] for a in answers if a.status == 409} == {"no_slot"}
    slots = node.api.get("/v1/node/slots")
    assert (slots["total"], slots["used"], slots["free"]) == (3, 3, 0)
    assert len(slots["guests"]) == 3
    node.api.destroy(slots["guests"][0]["name"])
    assert create(node, "again.example.org").status == 200
    # A guest that asks for more slots than are free.
    node.api.destroy("again.example.org")
    assert create(node, "two.example.org", slots=2).json["code"] == "no_slot"


@pytest.mark.parametrize("mode", ["drain", "maintenance"])
def test_a_draining_node_takes_no_guests_and_lets_the_others_run(make_node, mode):
    node = make_node(drivers=("fake",))
    node.api.create("old.example.org", driver="fake")
    node.api.call("PATCH", "/v1/node", {"mode": mode})
    answer = create(node, "new.example.org")
    assert (answer.status, answer.json["code"]) == (409, "no_slot") and mode in answer.json["detail"]
    assert node.api.get("/v1/node/slots")["free"] == 0
    node.restart()
    assert node.api.get("/v1/node")["mode"] == mode
    assert node.api.guest("old.example.org")["state"] == "running"
    node.api.act("old.example.org", "stop")
    if mode == "maintenance":
        assert node.api.send("POST", "/v1/guests/old.example.org/actions/start").status == 409
    node.api.call("PATCH", "/v1/node", {"mode": "active"})
    assert create(node, "new.example.org").status == 200


def test_an_unknown_image_or_driver_is_refused_and_leaves_nothing(fake):
    answer = create(fake, "x.example.org", image="none")
    assert (answer.status, answer.json["field"]) == (404, "image"), answer.text
    answer = create(fake, "x.example.org", driver="none")
    assert answer.status in (404, 422) and answer.json["field"] == "driver", answer.text
    assert fake.api.guests() == [] and fake.api.get("/v1/node/slots")["reserved"] == 0


def test_a_busy_host_port_is_refused(fake):
    create(fake, "a.example.org", ports=[{"guest": 80, "host": 45200}])
    create(fake, "b.example.org")
    # Another guest's, by create, put and post.
    answer = create(fake, "c.example.org", ports=[{"guest": 80, "host": 45200}])
    assert (answer.status, answer.json["code"]) == (409, "conflict")
    assert answer.json["field"] == "ports[0].host"
    answer = fake.api.send("PUT", "/v1/guests/b.example.org/ports/tcp/45200", {"guest": 80})
    assert answer.status == 409 and "a.example.org" in answer.json["detail"]
    # The same number of another protocol is another port.
    fake.api.change("PUT", "/v1/guests/b.example.org/ports/udp/45200", {"guest": 80})
    # A program of the node listens.
    with fake.bed.socket(testbed.NODE) as busy:
        busy.bind(("0.0.0.0", 45201))
        busy.listen()
        answer = fake.api.send("PUT", "/v1/guests/b.example.org/ports/tcp/45201", {"guest": 80})
        assert answer.status == 409, answer.text
    with fake.bed.socket(testbed.NODE, kind=socket.SOCK_DGRAM) as busy:
        busy.bind(("0.0.0.0", 45202))
        answer = fake.api.send("PUT", "/v1/guests/b.example.org/ports/udp/45202", {"guest": 80})
        assert answer.status == 409, answer.text
    for port in (22, 25, 53, 80, 443):
        answer = fake.api.send("PUT", f"/v1/guests/b.example.org/ports/tcp/{port}", {"guest": 80})
        assert answer.status in (409, 422), answer.text
    for name in ("a", "b"):
        fake.api.destroy(f"{name}.example.org")
    assert fake.api.get("/v1/ports")["ports"] == []


def test_ssh_ports_are_given_out_in_their_range_and_freed(fake):
    port = fake.api.create("ssh.example.org", driver="fake")["ssh"]["port"]
    assert 40000 <= port <= 60000
    answer = fake.api.send("DELETE", f"/v1/guests/ssh.example.org/ports/tcp/{port}")
    assert answer.status == 409, answer.text
    fake.api.destroy("ssh.example.org")
    fake.api.create("ssh2.example.org", driver="fake", ports=[{"guest": 80, "host": port}])
    fake.api.destroy("ssh2.example.org")


def test_no_free_host_port_left_is_507(make_node):
    node = make_node(drivers=("fake",), settings={"net": {"port_first": 40000, "port_last": 40001}})
    create(node, "a.example.org")
    create(node, "b.example.org")
    answer = create(node, "c.example.org")
    assert (answer.status, answer.json["code"]) == (507, "no_room"), answer.text
    assert len(node.api.guests()) == 2


def test_a_pool_that_cannot_grow_refuses_and_serves_on(make_node):
    node = make_node(drivers=("fake",),
                     settings={"storage": {"loop_size": GIB // 2, "loop_max": GIB // 2}})
    create(node, "a.example.org", storage={"size": "100MiB"})
    answer = node.api.send("POST", "/v1/guests/a.example.org/storage/enlarge", {"to": "1TiB"},
                           query={"wait": 30})
    assert (answer.status, answer.json["code"]) == (507, "no_room"), answer.text
    assert node.api.guest("a.example.org")["storage"]["size"] == 100 << 20
    with pytest.raises(Problem) as refusal:
        node.api.import_image("huge", large_tar(node.dir / "huge.tar", GIB * 5 // 8))
    assert refusal.value.status == 507, refusal.value
    assert [i["name"] for i in node.api.get("/v1/images")["images"]] == ["busybox"]
    # btrfs gives the room of what was removed back a little later, at a commit.
    def has_room():
        run(*node.bed.inside(testbed.NODE), "btrfs", "filesystem", "sync", node.dir / "pool")
        return create(node, "b.example.org", storage={"size": "100MiB"}).status == 200
    wait_for("room again", has_room)


def large_tar(path, size):
    """An archive with one large file, in which there are no holes."""
    info = tarfile.TarInfo("large")
    info.size = size
    part = b"large" * (1 << 20)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(info.tobuf())
        for _ in range(size // len(part)):
            file.write(part)
        file.write(bytes(size % len(part) + 512 - size % 512 + 1024))
    return path
