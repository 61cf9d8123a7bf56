"""Real containers while the agent, its driver and dockerd are killed, hang or are away: every change is
finished or taken back, or can be repeated; nothing is leaked or lost, each guest has one container,
which comes back once, as its restart policy says. Also images, registries and programs that are not as
they should be. Of the driver by itself tests/drivers/test_docker.c has as much at each of its points."""
import contextlib
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest
from conftest import node_for
from crash import (Crash, assert_whole, bring_back, die_at_every_step, driver_pids, is_told, kill,
                   look, ready_fleet, settle)
from harness import oci, registry
from harness.api import Problem
from harness.node import CACHE
from harness.registry import OddRegistry
from harness.shell import wait_for

MIB = 1 << 20
NAME, BYSTANDER = "victim.example.org", "bystander.example.org"
PATH = f"/v1/guests/{NAME}"
# Each of its starts is a line in its data.
SPEC = {"driver": "docker", "image": "busybox", "storage": {"size": 32 * MIB},
        "container": {"command": ["sh", "-c", "echo >>/srv/starts; exec /sbin/init"]}}
SETTINGS = {"restart": {"delay": "10ms", "delay_max": "200ms"}, "stop_timeout": "5s"}
FOREIGN = "corpus-somebodys"  # though it is called as if it were ours
ODD = registry.address()
# A call waits where the test kills something, so that the moment is certain.
HOLD_MS = 1500
HOLDS = ",".join(f"driver.docker.{point}=wait:{HOLD_MS}" for point in (
    "make.created", "start.started", "stop.asked", "layer.kept", "restore.aside",
    "destroy.removed"))


@contextlib.contextmanager
def faulty_node(request, **docker):
    """A node with a guest that always comes back, and with a container that is not the node's."""
    with node_for(request, SETTINGS, drivers=("docker",),
                  docker=docker | {"registries": [ODD]}) as node:
        node.live_restore = docker.get("live_restore", False)
        create(node, BYSTANDER, restart={"policy": "always", "max": 0})
        image = node.docker.request("GET", "/images/json")[0]["Id"]
        node.docker.docker("run", "--detach", f"--name={FOREIGN}", "--network=none",
                           "--restart=always", image)
        yield node
        node.docker.docker("rm", "--force", FOREIGN)


@pytest.fixture(scope="module")
def node(request):
    with faulty_node(request) as node:
        yield node


@pytest.fixture
def clean(node):
    """Whatever the test did, it takes its guests away, and nothing is left of them."""
    yield
    take_all_away(node)


# --- what there is ---

def create(node, name, **fields):
    done = node.api.change("POST", "/v1/guests", SPEC | {"name": name} | fields)
    node.remember()
    return done


def guest_or_none(node, name):
    found = [guest for guest in node.api.guests() if guest["name"] == name]
    return found[0] if found else None


def starts(node, name):
    id = node.api.guest(name)["id"]
    return (node.pool / "volumes" / id / "data/srv/starts").read_text().count("\n")


def labelled(node, *words):
    """Ids of guests that its containers or volumes bear."""
    said = node.docker.docker(*words, "--filter=label=corpus.guest",
                              "--format={{.Label \"corpus.guest\"}}")
    return sorted(said.split())


def kept_layers(node):
    said = node.docker.docker("images", "--format={{.Tag}}", "corpus-snapshot")
    return sorted(said.split())


def assert_clean(node):
    """Only what the guests there are need is on the host, and in dockerd."""
    if node.live_restore:  # else dockerd takes volumes for mounted that it has lost count of
        node.docker.restart()
    wait_for("all guests are seen", lambda: all(g["state"] != "unknown" for g in node.api.guests()))
    assert_whole(node)
    guests = node.api.guests()
    ids = sorted(guest["id"] for guest in guests)
    assert labelled(node, "ps", "--all") == ids, node.docker.containers()
    # One each, but for those that dockerd holds on to.
    volumes = set if node.live_restore else list
    wait_for("volumes of guests there are",
             lambda: volumes(labelled(node, "volume", "ls")) == volumes(ids))
    assert kept_layers(node) == sorted(f"{guest['id']}-{snapshot['name']}" for guest in guests
                                       for snapshot in guest["snapshots"])
    run = node.docker.request("GET", "/containers/json")
    assert len(run) == 1 + len([g for g in guests if g["state"] in ("running", "frozen")]), run
    wait_for("nothing holds what has ended",
             lambda: sorted(node.docker.shims().values()) == sorted(c["Id"] for c in run))
    gates = node.bed.seen(node.dir / "run/drivers/docker/gates")
    assert sorted(entry.name for entry in gates.iterdir()) == ids
    assert FOREIGN in node.docker.containers().values()
    wait_for("the driver and what watches, no more", lambda: len(driver_pids(node)) == 2)


def take_all_away(node):
    bring_back(node.docker)
    if node.process.poll() is not None:
        node.start()
    settle(node)
    names = [g["name"] for g in node.api.guests() if g["name"] != BYSTANDER]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(node.api.destroy, names))
    wait_for("the bystander is back", lambda: node.api.guest(BYSTANDER)["state"] == "running")
    assert_clean(node)


# --- each kind of change, on a guest of its own ---

class Change:
    """One kind of change: `ready` brings its guest where it can be made; `begun` says whether it is
    under way by what dockerd has of the guest; `expected` what holds when it was made: state,
    snapshots. It may be asked for again and again."""

    def __init__(self, verb, path, begun, ready=None, body=None, expected=("running", [])):
        self.verb, self.path, self.begun, self.ready = verb, path, begun, ready
        self.body, self.expected = body, expected

    def crash(self, name):
        if self.verb == "create":
            return Crash("guest.create", "POST", "/v1/guests", SPEC | {"name": name})
        if self.verb == "destroy":
            return Crash("guest.destroy", "DELETE", f"/v1/guests/{name}", None, {"destroy": "true"})
        body = {"name": f"copy-of-{name}", "snapshot": "then"} if self.verb == "clone" else self.body
        return Crash(f"guest.{self.verb}", "POST", f"/v1/guests/{name}{self.path}", body)

    def prepare(self, node, name):
        if self.verb != "create":
            create(node, name)
        if self.ready:
            self.ready(node, name)

    def assert_done(self, node, name):
        if self.verb == "destroy":
            assert guest_or_none(node, name) is None
            return
        guest = node.api.guest(name)
        seen = guest["state"], [s["name"] for s in guest["snapshots"]]
        assert seen == self.expected, (self.verb, guest)
        if self.verb == "clone":
            assert node.api.guest(f"copy-of-{name}")["state"] == "running"


def stopped(node, name):
    node.api.act(name, "stop")


def kept(node, name):
    node.api.change("POST", f"/v1/guests/{name}/snapshots", {"name": "then"})


def put_aside(node, name):
    """Whether it has a container that a restore would come back to."""
    return container(node, f"{node.api.guest(name)['id']}.aside")


def container(node, name, **wanted):
    """Whether dockerd has a container of that name, and such a one."""
    found = [c for c in node.docker.request("GET", "/containers/json?all=1")
             if c["Names"] == [f"/corpus-{name}"]]
    return bool(found) and wanted.items() <= found[0].items()


CHANGES = {
    "create": Change("create", "", container),
    "start": Change("start", "/actions/start", ready=stopped,
                    begun=lambda node, name: container(node, name, State="running")),
    "stop": Change("stop", "/actions/stop", expected=("stopped", []),
                   begun=lambda node, name: container(node, name, State="exited")),
    "snapshot": Change("snapshot", "/snapshots", body={"name": "then"},
                       expected=("running", ["then"]),
                       begun=lambda node, name: any(
                           tag.endswith("-then") and node.api.guest(name)["id"] in tag
                           for tag in kept_layers(node))),
    "restore": Change("restore", "/snapshots/then/restore", ready=kept,
                      expected=("running", ["then"]), begun=put_aside),
    "clone": Change("clone", "/actions/clone", ready=kept, expected=("running", ["then"]),
                    begun=lambda node, name: container(node, f"copy-of-{name}")),
    "destroy": Change("destroy", "", begun=lambda node, name: not container(node, name)),
}


# --- kill -9 of the agent ---

@pytest.mark.parametrize("kind", CHANGES)
def test_kill_9_of_the_agent_at_every_step(node, clean, kind):
    change = CHANGES[kind]
    change.prepare(node, NAME)
    bystander = node.api.guest(BYSTANDER)["pid"]
    die_at_every_step(node, change.crash(NAME))
    change.assert_done(node, NAME)
    assert_clean(node)
    assert node.api.guest(BYSTANDER)["pid"] == bystander


# --- the driver and dockerd ---

def kill_driver(node):
    """With what watches and the processes of its calls."""
    driver = node.driver_pid("docker")
    kill(driver, *driver_pids(node))


def kill_dockerd(node):
    told_unknown(node, node.docker.kill)


def hang_dockerd(node):
    told_unknown(node, node.docker.stop_process)


def told_unknown(node, act):
    """Whoever reads hears soon what was, and that nobody knows. What is under way stays so."""
    before = node.api.guest(BYSTANDER)
    act()
    wait_for("it is unknown", lambda: node.api.guest(BYSTANDER)["state"] == "unknown")
    guest = node.api.guest(BYSTANDER)
    assert guest["since"] > before["since"] and guest["storage"] == before["storage"]
    assert os.path.exists(f"/proc/{before['pid']}")


def begin(node, fleet):
    """The operations by the names of their guests."""
    begun = {}
    for name in fleet:
        crash = fleet[name].crash(name)
        answer = node.api.send(crash.method, crash.path, crash.body, query=crash.query)
        assert answer.status == 202, answer.text
        begun[name] = answer.json
    return begun


@contextlib.contextmanager
def odd_registry(node, fault, image=None):
    odd = OddRegistry(node.bed, fault, image or oci.busybox_tar(CACHE))
    try:
        yield odd
    finally:
        odd.end()


def pull(node, repository):
    return node.api.begin("POST", "/v1/images", {"name": f"{ODD}/{repository}", "kind": "oci"})


def repeat_failed(node, fleet, begun):
    """With everything back again."""
    settle(node)
    wait_for("all is seen", lambda: all(g["state"] != "unknown" for g in node.api.guests()))
    failed = {name: fleet[name] for name in begun if look(node, begun[name])["state"] == "failed"}
    for operation in begin(node, failed).values():
        done = node.api.wait(operation["id"])
        assert done["state"] == "done", done
    node.remember()
    # What was done before may have ended with dockerd.
    for guest in node.api.guests():
        if guest["state"] == "stopped" and not guest["name"].startswith("stop."):
            node.api.act(guest["name"], "start")
    for name, change in fleet.items():
        change.assert_done(node, name)
    assert_clean(node)


def meet_in_the_middle(node, die):
    """One of each kind of change is under way when that happens. Its end, and the bystander's."""
    fleet = ready_fleet(node, CHANGES)
    node.restart(faults=HOLDS)
    wait_for("all is seen", lambda: all(g["state"] != "unknown" for g in node.api.guests()))
    with odd_registry(node, "silent") as silent:
        image = pull(node, "silent:1")
        begun = begin(node, fleet)
        for name, change in fleet.items():
            wait_for(f"{name} is under way", lambda c=change, n=name: c.begun(node, n)
                     or look(node, begun[n])["state"] == "done")
        silent.wait_for("manifests")
        die(node)
        bring_back(node.docker)
        for operation in begun.values():
            wait_for("its end", lambda o=operation: is_told(node, o))
    assert node.api.wait(image["id"])["state"] == "failed"
    node.restart()
    repeat_failed(node, fleet, begun)


@pytest.mark.parametrize("die", [kill_driver, kill_dockerd, hang_dockerd])
def test_what_dies_in_the_middle_costs_only_a_repeat(node, clean, die):
    before = starts(node, BYSTANDER)
    meet_in_the_middle(node, die)
    wait_for("the bystander is back", lambda: node.api.guest(BYSTANDER)["state"] == "running")
    # dockerd ends what it finds alive when it starts.
    assert starts(node, BYSTANDER) == before + (1 if die is kill_dockerd else 0)


def test_with_live_restore_guests_outlive_dockerd(request):
    with faulty_node(request, live_restore=True) as node:
        pid = node.api.guest(BYSTANDER)["pid"]
        node.api.exec(BYSTANDER, "sh", "-c", "echo one >/srv/told")
        kept(node, BYSTANDER)
        meet_in_the_middle(node, kill_dockerd)
        assert node.api.guest(BYSTANDER)["pid"] == pid and starts(node, BYSTANDER) == 1
        # dockerd may hold on to what was mounted before; the guest must not get that.
        node.api.act(BYSTANDER, "stop")
        node.api.act(BYSTANDER, "start")
        node.api.exec(BYSTANDER, "sh", "-c", "echo two >/srv/told")
        node.api.change("POST", f"/v1/guests/{BYSTANDER}/snapshots/then/restore")
        assert node.api.exec(BYSTANDER, "cat", "/srv/told")["stdout"] == "one\n"
        take_all_away(node)
        node.api.destroy(BYSTANDER)
        node.docker.restart()
        wait_for("the last volume is gone", lambda: labelled(node, "volume", "ls") == [])


# --- images, registries and programs that are not as they should be ---

def refused(node, **fields):
    with pytest.raises(Problem) as caught:
        create(node, NAME, **fields)
    assert guest_or_none(node, NAME) is None
    return caught.value


def runs(*script):
    return {"command": ["sh", "-c", *script]}


def test_what_cannot_run_leaves_nothing(node, clean):
    missing = refused(node, image="missing/app:1")
    assert (missing.code, missing.field) == ("not_found", "image")
    assert "/no/such/program" in refused(node, container={"entrypoint": ["/no/such/program"]}).detail
    assert_clean(node)


def test_one_that_exits_at_once_says_how_and_is_tried_as_its_policy_says(node, clean):
    broken = runs("echo >>/srv/starts; exit 3")
    with node.api.events() as events:
        create(node, NAME, container=broken, restart={"policy": "on-failure", "max": 2})
        seen = events.until(lambda event: event["type"] == "guest.restart_given_up")
    assert len([e for e in seen if e["type"] == "guest.restarting"]) == 2
    guest = node.api.guest(NAME)
    assert guest["state"] == "stopped" and "status 3" in guest["problem"]
    assert starts(node, NAME) == 3
    create(node, "ended", container=runs("exit 0"), restart={"policy": "on-failure"})
    wait_for("its end is seen", lambda: node.api.guest("ended")["state"] == "stopped")
    assert node.api.guest("ended")["problem"] is None
    assert_clean(node)


def test_a_name_that_docker_refuses_is_a_guests(node, clean):
    create(node, "x")
    assert node.api.guest("x")["state"] == "running" and container(node, "x")
    assert node.api.exec("x", "hostname")["stdout"] == "x\n"


@pytest.mark.parametrize("fault, code", [("refused", "denied"), ("absent", "not_found"),
                                         ("garbage", "driver_failed"), ("broken", "driver_failed")])
def test_a_registry_that_does_not_give_is_told(node, fault, code):
    with odd_registry(node, fault):
        done = node.api.wait(pull(node, f"{fault}:1")["id"])
    assert done["state"] == "failed" and done["error"]["code"] == code, done
    assert [image["name"] for image in node.api.get("/v1/images")["images"]] == ["busybox:latest"]


def test_what_is_never_answered_can_be_cancelled(node):
    with odd_registry(node, "silent") as silent:
        operation = pull(node, "silent:1")
        silent.wait_for("manifests")
        node.api.call("DELETE", f"/v1/operations/{operation['id']}")
        assert node.api.wait(operation["id"])["state"] == "cancelled"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_pull_goes_on_when_dockerd_is_back_or_is_given_up(node, clean, tmp_path, how):
    with odd_registry(node, "hesitant", oci.new_tar(tmp_path / "new.tar")) as odd:
        goes_on, given_up = pull(node, "goes-on:1"), pull(node, "given-up:1")
        odd.wait_for("goes-on/manifests", "given-up/manifests", "hesitates")
        node.docker.kill(how)
        for operation in (goes_on, given_up):
            wait_for("that it waits for dockerd", lambda o=operation: waits_for_dockerd(node, o))
        node.api.call("DELETE", f"/v1/operations/{given_up['id']}")
        assert node.api.wait(given_up["id"])["state"] == "cancelled"
        node.docker.start()
        done = node.api.wait(goes_on["id"])
        assert done["state"] == "done", done
    image = f"{ODD}/goes-on:1"
    assert image in [found["name"] for found in node.api.get("/v1/images")["images"]]
    node.api.change("DELETE", f"/v1/images/{quote(image, safe='')}", kind="oci")


def waits_for_dockerd(node, operation):
    seen = look(node, operation)
    assert seen["error"] is None, seen
    return seen["transfer"] and seen["transfer"]["what"] == "waiting for dockerd"
