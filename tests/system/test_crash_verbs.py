"""kill -9 of the agent at every journalled step of what is done to a whole guest: freezing, another
name, copies, snapshots, restores; and at every step of their undoing. What was on the guest's storage
is held against what it must be."""
import pytest
from crash import Crash, assert_whole, beside, die_and_recover, driver_dies

NAME, OTHER, BYSTANDER = "victim.example.org", "other.example.org", "bystander.example.org"
PATH = f"/v1/guests/{NAME}"
BODY = {"name": NAME, "image": "busybox", "storage": {"size": "200MiB"},
        "ports": [{"guest": 80, "host": 45080, "purpose": "web"}]}


def note(node, name):
    file = node.pool / "volumes" / node.api.guest(name)["id"] / "rootfs/root/note"
    return file.read_text().strip() if file.exists() else None


def write(node, text):
    node.in_guest(NAME, "sh", "-c", f"echo {text} >/root/note; sync")


def fresh(node):
    """A running victim with a snapshot of a note that was changed since."""
    names = [guest["name"] for guest in node.api.guests()]
    if OTHER in names:
        node.api.destroy(OTHER)
    if NAME not in names:
        node.api.change("POST", "/v1/guests", BODY)
    if node.api.guest(NAME)["state"] == "frozen":
        node.api.act(NAME, "thaw")
    if node.api.guest(NAME)["state"] != "running":
        node.api.act(NAME, "start")
    snapshots = {s["name"] for s in node.api.guest(NAME)["snapshots"]}
    for name in snapshots - {"then"}:
        node.api.change("DELETE", f"{PATH}/snapshots/{name}")
    if "then" not in snapshots:
        write(node, "then")
        node.api.change("POST", f"{PATH}/snapshots", {"name": "then"})
    write(node, "now")


def frozen(node):
    fresh(node)
    node.api.act(NAME, "freeze")


# What must hold when it was done: the victim's name, its state, its note, its snapshots.
CRASHES = [
    (Crash("guest.freeze", "POST", f"{PATH}/actions/freeze", prepare=fresh),
     (NAME, "frozen", "now", ["then"])),
    (Crash("guest.thaw", "POST", f"{PATH}/actions/thaw", prepare=frozen),
     (NAME, "running", "now", ["then"])),
    (Crash("guest.rename", "POST", f"{PATH}/actions/rename", {"name": OTHER}, prepare=fresh),
     (OTHER, "running", "now", ["then"])),
    (Crash("guest.clone", "POST", f"{PATH}/actions/clone", {"name": OTHER, "snapshot": "then"},
           prepare=fresh), (OTHER, "running", "then", [])),
    (Crash("guest.snapshot", "POST", f"{PATH}/snapshots", {"name": "new"}, prepare=fresh),
     (NAME, "running", "now", ["then", "new"])),
    (Crash("guest.snapshot-delete", "DELETE", f"{PATH}/snapshots/then", prepare=fresh),
     (NAME, "running", "now", [])),
    (Crash("guest.restore", "POST", f"{PATH}/snapshots/then/restore", prepare=fresh),
     (NAME, "running", "then", ["then"])),
]
UNDONE = [crash for crash, _ in CRASHES if crash.verb not in ("guest.thaw", "guest.snapshot-delete")]


@pytest.fixture(scope="module")
def node(lxc):
    with beside(lxc, BYSTANDER) as node:
        yield node


def look(node, name):
    guest = node.api.guest(name)
    return name, guest["state"], note(node, name), [s["name"] for s in guest["snapshots"]]


def without_times(guest):
    return {k: v for k, v in guest.items() if k not in ("etag", "since", "pid")}


@pytest.mark.parametrize("crash, expected", CRASHES, ids=lambda value: getattr(value, "verb", ""))
def test_kill_9_at_every_step(node, crash, expected):
    crash.prepare(node)
    points = [f".{step}.{when}" for step in crash.steps(node) for when in ("before", "after")]
    assert len(points) >= 2
    with node.nothing_noticed(45079):
        for point in [".accepted", *points, ".end"]:
            crash.prepare(node)
            done = die_and_recover(node, crash, f"ops.{crash.verb}{point}=kill@1")
            assert done and done["state"] == "done", (point, done)
            assert_whole(node)
            assert look(node, expected[0]) == expected, point
            if expected[1] == "running":
                node.await_page(node.port_of(expected[0], "web"))


@pytest.mark.parametrize("crash", UNDONE, ids=lambda crash: crash.verb)
def test_kill_9_at_every_undo(node, crash):
    """The last step that can be taken back fails after it was done, and the agent dies while all
    is."""
    crash.prepare(node)
    steps = [step for step in crash.steps(node) if step != "finish"]
    before, undone = without_times(node.api.guest(NAME)), 0
    with node.nothing_noticed(45079):
        for step in steps:
            crash.prepare(node)
            ended = die_and_recover(node, crash, f"ops.{crash.verb}.{steps[-1]}.after=fail@1,"
                                                 f"ops.{crash.verb}.{step}.undo=kill@1")
            assert_whole(node)
            assert [g["name"] for g in node.api.guests()] == [BYSTANDER, NAME]
            assert without_times(node.api.guest(NAME)) == before
            assert look(node, NAME) == (NAME, "running", "now", ["then"])
            node.await_page(45080)
            if ended:  # else this step has nothing to undo
                undone += 1
                assert ended["state"] == "failed" and "made to fail" in ended["error"]["detail"]
    assert undone >= 1, steps


@pytest.mark.parametrize("crash, expected", [CRASHES[0], CRASHES[-1]],
                         ids=lambda value: getattr(value, "verb", ""))
def test_kill_9_of_the_driver_process_during_a_change(node, crash, expected):
    with node.nothing_noticed(45079):
        for done in driver_dies(node, crash):
            if done["state"] == "done":
                assert look(node, NAME) == expected
        node.restart()


def test_nothing_of_the_victim_is_left(node):
    for name in (NAME, OTHER):
        if name in [guest["name"] for guest in node.api.guests()]:
            node.api.destroy(name)
    node.assert_only(BYSTANDER)
    assert node.snapshots() == {}
