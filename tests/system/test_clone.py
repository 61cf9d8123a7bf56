"""Clones of real containers: what they share with their original, and what is their own."""
import pytest
from harness import faults, lend
from harness.api import Problem
from harness.rootfs import PAGE, busybox_tar

OLD, NEW = "dolly.example.org", "clone.example.org"
PATH = f"/v1/guests/{OLD}"
MIB = 1 << 20
COPIED = ("driver", "image", "slots", "limits", "storage", "environment", "autostart", "restart",
          "health", "labels", "privileged", "ssh_keys", "raw")


@pytest.fixture
def web(lxc):
    """A running guest with its page published; all guests are destroyed afterwards."""
    with lend.web(lxc, OLD, ports=[{"guest": 53, "proto": "udp"}], storage={"size": "64MiB"},
                  limits={"memory": "96MiB", "pids": 100}, labels={"team": "sheep"},
                  environment="staging") as port:
        yield port


def clone(node, body=None, **options):
    done = node.api.act(OLD, "clone", {"name": NEW} | (body or {}), **options)
    node.remember()
    return done


def write(node, name, text):
    node.in_guest(name, "sh", "-c", f"echo {text} >/www/index.html")


def ports_inside(guest):
    return sorted((p["proto"], p["guest"], p.get("purpose")) for p in guest["ports"])


def test_a_running_guest_is_copied_as_it_is_and_notices_nothing(lxc, web):
    old = lxc.api.guest(OLD)
    lxc.in_guest(OLD, "sh", "-c", "echo precious >/root/note")
    with lxc.nothing_noticed(web):
        done = clone(lxc)
        assert done["target"] == NEW and done["result"] == lxc.api.guest(NEW)
        new = done["result"]
        assert new["state"] == "running" and done["guest_id"] == new["id"] != old["id"]
        assert [new[k] for k in COPIED] == [old[k] for k in COPIED]
        assert ports_inside(new) == ports_inside(old)
        hosts = [{(p["proto"], p["host"]) for p in guest["ports"]} for guest in (old, new)]
        assert not hosts[0] & hosts[1]
        assert new["network"]["address"] != old["network"]["address"]
        assert new["network"]["mac"] != old["network"]["mac"]
        assert new["ssh"]["port"] == lxc.port_of(NEW, "ssh") != old["ssh"]["port"]
        assert new["snapshots"] == []
        assert lxc.in_guest(NEW, "cat", "/root/note") == "precious\n"
        lxc.await_page(lxc.port_of(NEW, "web"))
    # From now on each is its own.
    write(lxc, NEW, "new")
    lxc.await_page(lxc.port_of(NEW, "web"), b"new\n")
    assert lxc.fetch(web) == PAGE
    lxc.api.destroy(OLD)
    assert lxc.fetch(lxc.port_of(NEW, "web")) == b"new\n"


@pytest.mark.parametrize("state", ["stopped", "frozen"])
def test_a_guest_at_rest_can_be_copied(lxc, web, state):
    lxc.api.act(OLD, "stop" if state == "stopped" else "freeze")
    assert clone(lxc)["result"]["state"] == "running"
    assert lxc.api.guest(OLD)["state"] == state
    lxc.await_page(lxc.port_of(NEW, "web"))


def test_a_snapshot_is_copied_as_it_was(lxc, web):
    write(lxc, OLD, "then")
    lxc.api.change("POST", f"{PATH}/snapshots", {"name": "then"})
    write(lxc, OLD, "now")
    assert clone(lxc, {"snapshot": "then"})["result"]["snapshots"] == []
    lxc.await_page(lxc.port_of(NEW, "web"), b"then\n")
    assert lxc.fetch(web) == b"now\n"
    # The snapshot can go; the clone stays.
    lxc.api.change("DELETE", f"{PATH}/snapshots/then")
    assert lxc.fetch(lxc.port_of(NEW, "web")) == b"then\n"


def test_what_the_body_says_is_the_clones_own(lxc, web):
    new = clone(lxc, {
        "start": False, "storage": {"size": "80MiB"}, "labels": {"team": None, "n": "2"},
        "limits": {"memory": None, "pids": 50}, "environment": "prod",
        "ports": [{"guest": 8080, "host": 45123}]})["result"]
    assert new["state"] == "stopped" and len(lxc.links()) == 1
    assert (new["storage"]["size"], new["labels"], new["environment"]) == \
        (80 * MIB, {"n": "2"}, "prod")
    assert (new["limits"]["memory"], new["limits"]["pids"]) == (None, 50)
    assert ("tcp", 45123) in [(p["proto"], p["host"]) for p in new["ports"]]
    assert {p["guest"] for p in new["ports"]} == {22, 8080} and len(new["ports"]) == 2
    assert lxc.api.get(f"/v1/guests/{NEW}/storage")["size"] == 80 * MIB


def test_a_clone_can_be_snapshotted_cloned_and_restored_itself(lxc, web):
    clone(lxc)
    write(lxc, NEW, "kept")
    lxc.api.change("POST", f"/v1/guests/{NEW}/snapshots", {"name": "s"})
    write(lxc, NEW, "lost")
    lxc.api.change("POST", f"/v1/guests/{NEW}/snapshots/s/restore")
    lxc.await_page(lxc.port_of(NEW, "web"), b"kept\n")
    lxc.api.act(NEW, "clone", {"name": "third.example.org"})
    lxc.remember()
    lxc.await_page(lxc.port_of("third.example.org", "web"), b"kept\n")


@pytest.mark.parametrize("body, status, field", [
    ({"name": OLD}, 409, "name"), ({"name": None}, 422, "name"), ({"name": "UP"}, 422, "name"),
    ({"image": "busybox"}, 422, "image"), ({"privileged": True}, 422, "privileged"),
    ({"driver": "fake"}, 422, "driver"), ({"snapshot": "none"}, 404, "snapshot"),
    ({"snapshot": "A/B"}, 422, "snapshot"), ({"storage": {"size": 1}}, 422, "storage.size"),
    ({"slots": 5000}, 422, "slots"), ({"slots": 2000}, 409, "slots"), ({"bogus": 1}, 422, "bogus"),
    ({"ports": [{"guest": 0}]}, 422, "ports[0].guest"), ({"id": "0"}, 422, "id"),
    ({"network": {"address": "10.5.0.1"}}, 409, None)])
def test_what_cannot_be_is_refused_and_takes_nothing(lxc, body, status, field):
    if not lxc.api.guests():
        lxc.api.create(OLD, start=False)
    before = lxc.api.get("/v1/node/slots")
    answer = lxc.api.send("POST", f"{PATH}/actions/clone", {"name": NEW} | body)
    assert answer.status == status or (field is None and answer.status >= 400), answer.text
    assert field in (None, answer.json["field"]), answer.text
    assert lxc.api.get("/v1/node/slots") == before
    assert len(lxc.volumes()) == 1


def test_the_last_of_those_leaves_the_module_clean(lxc):
    lxc.api.destroy(OLD)
    assert lxc.volumes() == []


def test_a_plan_a_stale_tag_and_a_repeat_make_no_second_clone(lxc, web):
    assert "volume" in lxc.api.plan("POST", f"{PATH}/actions/clone", {"name": NEW})["steps"]
    with pytest.raises(Problem) as stale:
        clone(lxc, headers={"If-Match": '"000000000000-1"'})
    assert stale.value.status == 412 and len(lxc.api.guests()) == 1
    headers = {"Idempotency-Key": "dolly"}
    first, again = clone(lxc, headers=headers), clone(lxc, headers=headers)
    assert first["id"] == again["id"] and len(lxc.api.guests()) == 2


def test_a_clone_that_fails_leaves_nothing(fake):
    fake.api.create(OLD, driver="fake")
    for call in ("create", "start"):
        faults.order(fake, **{call: {
            "count": 1, "error": {"code": "driver_failed", "message": "no wool"}}})
        with pytest.raises(Problem) as failed:
            clone(fake)
        assert failed.value.code == "driver_failed" and "no wool" in failed.value.detail
        assert [g["name"] for g in fake.api.guests()] == [OLD] and len(fake.volumes()) == 1
    faults.order(fake)
    fake.api.destroy(OLD)
    fake.assert_empty()


def test_a_clone_is_somebody_else(fake):
    kept = (("etc/shadow", b"root:*:19000:0:99999:7:::\n"), ("etc/machine-id", b"0123abcd\n"),
            ("etc/ssh/ssh_host_ed25519_key", b"secret\n"), ("root/note", b"kept\n"))
    fake.api.import_image("known", busybox_tar(fake.dir / "known.tar", extra=kept))
    fake.api.create(OLD, image="known", driver="fake")
    clone(fake)
    roots = [fake.pool / "volumes" / fake.api.guest(name)["id"] / "rootfs" for name in (OLD, NEW)]
    assert [(root / "etc/hostname").read_text() for root in roots] == [f"{OLD}\n", f"{NEW}\n"]
    assert (roots[0] / "etc/machine-id").read_text() == "0123abcd\n"
    machine_id = roots[1] / "etc/machine-id"
    assert not machine_id.exists() or machine_id.read_text() in ("", "uninitialized\n")
    assert [(root / "etc/ssh/ssh_host_ed25519_key").exists() for root in roots] == [True, False]
    assert (roots[1] / "root/note").read_text() == "kept\n"
    old, new = (fake.api.get(f"/v1/guests/{name}/credentials")["password"] for name in (OLD, NEW))
    assert old and new and old != new
    assert (roots[0] / "etc/shadow").read_text() != (roots[1] / "etc/shadow").read_text()
    fake.api.destroy(OLD)
    fake.api.destroy(NEW)


def test_the_original_waits_with_its_end_until_it_is_copied(fake):
    fake.api.create(OLD, driver="fake")
    with faults.held(fake, "start"):
        copied = fake.api.begin("POST", f"{PATH}/actions/clone", {"name": NEW})
        gone = fake.api.begin("DELETE", PATH, destroy="true")
        # One that comes after the end finds nothing to copy, and says so at once.
        answer = fake.api.send("POST", f"{PATH}/actions/clone", {"name": "late.example.org"})
        assert answer.status == 409 and answer.json["code"] == "illegal_state"
    assert fake.api.wait(gone["id"])["state"] == "done"
    assert fake.api.get(f"/v1/operations/{copied['id']}")["state"] == "done"
    assert [g["name"] for g in fake.api.guests()] == [NEW]
    fake.api.destroy(NEW)
    fake.assert_empty()
