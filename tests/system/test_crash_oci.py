"""kill -9 of the agent at every journalled step of what is done to containers, and at every step of its
undoing; and of the driver around each of its calls: data and layer always belong together."""
import pytest
from crash import Crash, die_and_recover, settle
from harness.machines import MIB
from harness.shell import wait_for
from test_oci_guests import Containers

NAME, OTHER = "victim.example.org", "clone.example.org"
PATH = f"/v1/guests/{NAME}"
SIZE = 64 * MIB


@pytest.fixture(scope="module")
def node(kept):
    return kept


def fresh(node):
    """A running container, with a snapshot "then" of what it was before now."""
    box = Containers(node)
    names = [g["name"] for g in node.api.guests()]
    if OTHER in names:
        node.api.destroy(OTHER)
    if NAME not in names:
        node.api.create(NAME, "app:1", driver="fake", storage={"size": SIZE})
    guest = node.api.guest(NAME)
    if guest["state"] != "running":
        node.api.act(NAME, "start")
    snapshots = {s["name"] for s in guest["snapshots"]}
    if "then" not in snapshots:
        box.both(NAME, "then")
        node.api.change("POST", f"{PATH}/snapshots", {"name": "then"})
    for name in snapshots - {"then"}:
        node.api.change("DELETE", f"{PATH}/snapshots/{name}")
    box.both(NAME, "now")


def with_new(node):
    fresh(node)
    node.api.change("POST", f"{PATH}/snapshots", {"name": "new"})


def without(node):
    fresh(node)
    node.api.destroy(NAME)


# What must hold when it was done: what the container has, its snapshots, who is there.
CRASHES = {
    "create": (Crash("guest.create", "POST", "/v1/guests",
                     {"name": NAME, "image": "app:1", "driver": "fake"}, prepare=without),
               None, [], [NAME]),
    "snapshot": (Crash("guest.snapshot", "POST", f"{PATH}/snapshots", {"name": "new"},
                       prepare=fresh), "now", ["then", "new"], [NAME]),
    "delete": (Crash("guest.snapshot-delete", "DELETE", f"{PATH}/snapshots/new",
                     prepare=with_new), "now", ["then"], [NAME]),
    "restore": (Crash("guest.restore", "POST", f"{PATH}/snapshots/then/restore", prepare=fresh),
                "then", ["then"], [NAME]),
    "clone": (Crash("guest.clone", "POST", f"{PATH}/actions/clone", {"name": OTHER},
                    prepare=fresh), "now", ["then"], [OTHER, NAME]),
}
UNDONE = ["create", "snapshot", "restore", "clone"]


def assert_whole(node, text, snapshots, names):
    """All run; data and layer are of one moment; nothing of what was under way is left."""
    box = Containers(node)
    wait_for("all are seen", lambda: all(g["pid"] for g in node.api.guests()))
    guests = {g["name"]: g for g in node.api.guests()}
    assert sorted(guests) == sorted(names)
    for name, guest in guests.items():
        assert guest["state"] == "running", guest
        assert box.both(name) == (text, text)
        assert not box.aside(name) and not box.held(name)
    if NAME in guests:
        guest = guests[NAME]
        assert [s["name"] for s in guest["snapshots"]] == snapshots
        assert box.kept(NAME) == sorted(snapshots)
        assert node.snapshots() == ({guest["id"]: sorted(snapshots)} if snapshots else {})
    assert sorted(node.volumes()) == sorted(g["id"] for g in guests.values())


@pytest.mark.parametrize("what", CRASHES)
def test_kill_9_at_every_step(node, what):
    crash, *expected = CRASHES[what]
    crash.prepare(node)
    for point in [".accepted", *(f".{step}.before" for step in crash.steps(node)), ".end"]:
        crash.prepare(node)
        done = die_and_recover(node, crash, f"ops.{crash.verb}{point}=kill@1")
        assert done and done["state"] == "done", (point, done)
        assert_whole(node, *expected)


@pytest.mark.parametrize("what", UNDONE)
def test_kill_9_at_every_undo(node, what):
    """The last step that can be undone fails, and the agent dies while all is undone."""
    crash, _, _, _ = CRASHES[what]
    before = (None, [], []) if what == "create" else ("now", ["then"], [NAME])
    crash.prepare(node)
    steps = [step for step in crash.steps(node) if step not in ("finish", "tidy")]
    undone = 0
    for step in steps:
        crash.prepare(node)
        ended = die_and_recover(node, crash, f"ops.{crash.verb}.{steps[-1]}.before=fail@1,"
                                             f"ops.{crash.verb}.{step}.undo=kill@1")
        settle(node)
        assert_whole(node, *before)
        if ended:  # else this step has nothing to undo
            undone += 1
            assert ended["state"] == "failed" and "made to fail" in ended["error"]["detail"]
    assert undone >= 1, steps


@pytest.mark.parametrize("what", ["snapshot", "delete", "restore", "clone"])
def test_kill_9_of_the_driver_around_its_calls_about_layers(node, what):
    crash, *expected = CRASHES[what]
    for when in ("before", "after"):
        crash.prepare(node)
        node.restart()  # a driver that keeps dying would be held back
        # Before it is kept in a snapshot its name is cleared.
        Containers(node).faults(
            layer={"skip": int(what == "snapshot"), "count": 1, "crash": when})
        done = node.api.change(crash.method, crash.path, crash.body)
        Containers(node).faults()
        assert done["state"] == "done", when
        assert_whole(node, *expected)
