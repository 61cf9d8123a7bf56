"""kill -9 of the agent before and after every journalled step of a change, with real LXC. After the
restart the same request, with its key, is answered with the one operation there is; nothing is
leaked, lost or doubled; and another guest's page has answered all the time."""
import pytest
from crash import (Crash, assert_pages, assert_whole, beside, die_and_recover, driver_dies, new_key,
                   settle)
from harness.rootfs import hollow_tar

NAME, BYSTANDER = "victim.example.org", "bystander.example.org"
PATH = f"/v1/guests/{NAME}"
BODY = {"name": NAME, "image": "busybox", "storage": {"size": "200MiB"},
        "ports": [{"guest": 80, "host": 45080, "purpose": "web"}]}


def absent(node):
    if any(guest["name"] == NAME for guest in node.api.guests()):
        node.api.destroy(NAME)


def running(node):
    if all(guest["name"] != NAME for guest in node.api.guests()):
        node.api.change("POST", "/v1/guests", BODY)
    if node.api.guest(NAME)["state"] != "running":
        node.api.act(NAME, "start")


def stopped(node):
    running(node)
    node.api.act(NAME, "stop")


def without_port(node):
    running(node)
    for port in node.api.guest(NAME)["ports"]:
        if port["host"] == 45081:
            node.api.change("DELETE", f"{PATH}/ports/tcp/45081")


def with_port(node):
    running(node)
    node.api.change("PUT", f"{PATH}/ports/tcp/45081", {"guest": 80})


def small(node):
    absent(node)
    running(node)


CRASHES = [
    Crash("guest.create", "POST", "/v1/guests", BODY, prepare=absent),
    Crash("guest.start", "POST", f"{PATH}/actions/start", prepare=stopped),
    Crash("guest.stop", "POST", f"{PATH}/actions/stop", prepare=running),
    Crash("guest.restart", "POST", f"{PATH}/actions/restart", prepare=running),
    Crash("guest.publish", "PUT", f"{PATH}/ports/tcp/45081", {"guest": 80}, prepare=without_port),
    Crash("guest.unpublish", "DELETE", f"{PATH}/ports/tcp/45081", prepare=with_port),
    Crash("guest.enlarge", "POST", f"{PATH}/storage/enlarge", {"to": "300MiB"}, prepare=small),
    Crash("guest.trim", "POST", f"{PATH}/storage/trim", {"to": "100MiB"}, prepare=small),
    Crash("guest.update", "PATCH", PATH, {"limits": {"memory": "96MiB", "net_egress": 1000000}},
          prepare=small),
    Crash("guest.destroy", "DELETE", PATH, query={"destroy": "true"}, prepare=running),
]

@pytest.fixture(scope="module")
def node(lxc):
    with beside(lxc, BYSTANDER) as node:
        yield node


def same(guest, before):
    """But for the tag, which also counts that the agent saw it anew."""
    return guest | {"etag": ""} == before | {"etag": ""}


@pytest.mark.parametrize("when", ["accepted", "before", "after", "end"])
@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: crash.verb)
def test_kill_9_at_every_step(node, crash, when):
    crash.prepare(node)
    steps = [f".{step}" for step in crash.steps(node)] if when in ("before", "after") else [""]
    assert steps
    bystander = node.api.guest(BYSTANDER)
    with node.nothing_noticed(45079):
        for step in steps:
            point = f"ops.{crash.verb}{step}.{when}"
            crash.prepare(node)
            done = die_and_recover(node, crash, f"{point}=kill@1")
            # What was accepted is carried out: each of these changes can be finished.
            assert done["state"] == "done", (point, done)
            assert_whole(node)
            assert_pages(node, NAME)
            assert same(node.api.guest(BYSTANDER), bystander)
    absent(node)
    node.assert_only(BYSTANDER)


def test_kill_9_at_every_undo(node, tmp_path):
    """A create that fails (its image has no init) and dies again and again while it is undone."""
    node.api.import_image("hollow", hollow_tar(tmp_path / "hollow.tar"), replace="true")
    crash = Crash("guest.create", "POST", "/v1/guests", BODY | {"image": "hollow"})
    steps = crash.steps(node)
    with node.nothing_noticed(45079):
        undone = 0
        for step in steps:
            key = new_key()
            node.restart(faults=f"ops.guest.create.{step}.undo=kill@1")
            if crash.send(node, key) is not None:
                continue  # this step has nothing to undo
            undone += 1
            node.died()
            node.start()
            assert settle(node)[0]["state"] == "failed"
            assert_whole(node)
            node.assert_only(BYSTANDER)
        assert undone >= 3, steps
    node.restart()
    node.api.change("DELETE", "/v1/images/hollow")


@pytest.mark.parametrize("crash", CRASHES, ids=lambda crash: crash.verb)
def test_kill_9_of_the_driver_process_during_a_change(node, crash):
    with node.nothing_noticed(45079):
        for _ in driver_dies(node, crash):
            assert_pages(node, NAME)
        node.restart()
    absent(node)
    node.assert_only(BYSTANDER)


def test_many_deaths_in_a_row_during_one_create(node):
    """It dies at each step in turn, of the same operation, and is finished in the end."""
    absent(node)
    crash = CRASHES[0]
    key = new_key()
    for step in crash.steps(node):
        node.restart(faults=f"ops.guest.create.{step}.before=kill@1")
        crash.send(node, key)
        node.died()
    node.start()
    settle(node)
    answer = crash.send(node, key)
    assert answer.status == 200 and answer.json["state"] == "done", answer.text
    assert_whole(node)
    assert_pages(node, NAME)
    absent(node)
    node.assert_only(BYSTANDER)
