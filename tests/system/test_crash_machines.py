"""kill -9 of the agent at every journalled step of what is done to the disk and the memory of a machine,
and at every step of their undoing: it runs on or again, by its memory where it has one, and the disk
is what it was or what it was to be."""
import pytest
from crash import Crash, die_and_recover, settle
from harness.machines import MIB, Machines
from harness.shell import wait_for

NAME = "victim.example.org"
PATH = f"/v1/guests/{NAME}"
SIZE, LARGE, SMALL = 96 * MIB, 128 * MIB, 48 * MIB


@pytest.fixture(scope="module")
def node(pretended):
    pretended.api.create(NAME, "disk", driver="fake", storage={"size": SIZE})
    return pretended


def fresh(node):
    """A running machine of that size, with a snapshot "then" of its disk and memory."""
    guest = node.api.guest(NAME)
    if guest["state"] != "running":
        node.api.act(NAME, "start")
    for name in {s["name"] for s in guest["snapshots"]} - {"then"}:
        node.api.change("DELETE", f"{PATH}/snapshots/{name}")
    if not [s for s in guest["snapshots"] if s["name"] == "then"]:
        node.api.change("POST", f"{PATH}/snapshots", {"name": "then", "memory": True})
    if guest["storage"]["size"] < SIZE:
        node.api.change("POST", f"{PATH}/storage/enlarge", {"to": SIZE})
    elif guest["storage"]["size"] > SIZE:
        node.api.change("POST", f"{PATH}/storage/trim", {"to": SIZE, "restart": True})


# What must hold when it was done: size, snapshots, and whether it still lives the life it had.
CRASHES = [
    ("snapshot", Crash("guest.snapshot", "POST", f"{PATH}/snapshots", {"name": "new"},
                       prepare=fresh), (SIZE, ["then", "new"], True)),
    ("memory", Crash("guest.snapshot", "POST", f"{PATH}/snapshots",
                     {"name": "new", "memory": True}, prepare=fresh),
     (SIZE, ["then", "new"], True)),
    ("restore", Crash("guest.restore", "POST", f"{PATH}/snapshots/then/restore", prepare=fresh),
     (SIZE, ["then"], False)),
    ("enlarge", Crash("guest.enlarge", "POST", f"{PATH}/storage/enlarge", {"to": LARGE},
                      prepare=fresh), (LARGE, ["then"], True)),
    ("trim", Crash("guest.trim", "POST", f"{PATH}/storage/trim", {"to": SMALL, "restart": True},
                   prepare=fresh), (SMALL, ["then"], False)),
]
UNDONE = [pytest.param(crash, expected[2] or name == "memory", id=name)
          for name, crash, expected in CRASHES]


def assert_machine(node, size, snapshots):
    """It runs, with that disk, and nothing of what was under way is left."""
    box = Machines(node)
    wait_for("the machine is seen", lambda: node.api.guest(NAME)["pid"])
    guest = node.api.guest(NAME)
    assert (guest["state"], guest["storage"]["size"]) == ("running", size), guest
    assert box.size(NAME) == size
    assert [s["name"] for s in guest["snapshots"]] == snapshots
    assert node.snapshots() == {guest["id"]: sorted(snapshots)}
    assert node.volumes() == [guest["id"]]
    assert not box.part(NAME, "memory").exists() and not box.held(NAME)


@pytest.mark.parametrize("crash, expected", [row[1:] for row in CRASHES],
                         ids=[row[0] for row in CRASHES])
def test_kill_9_at_every_step(node, crash, expected):
    size, snapshots, same = expected
    crash.prepare(node)
    box = Machines(node)
    points = [f".{step}.before" for step in crash.steps(node)]
    for point in [".accepted", *points, ".end"]:
        crash.prepare(node)
        life = box.life(NAME)
        done = die_and_recover(node, crash, f"ops.{crash.verb}{point}=kill@1")
        assert done and done["state"] == "done", (point, done)
        assert_machine(node, size, snapshots)
        if same:
            assert box.life(NAME) == life, point
    memory = [s["memory"] for s in node.api.guest(NAME)["snapshots"]]
    assert memory == [True, "memory" in (crash.body or {})][:len(memory)]


@pytest.mark.parametrize("crash, same", UNDONE)
def test_kill_9_at_every_undo(node, crash, same):
    """The last step fails when all is done, and the agent dies while all is undone."""
    crash.prepare(node)
    box = Machines(node)
    steps = [step for step in crash.steps(node) if step not in ("finish", "tidy")]
    undone = 0
    for step in steps:
        crash.prepare(node)
        life = box.life(NAME)
        ended = die_and_recover(node, crash, f"ops.{crash.verb}.{steps[-1]}.before=fail@1,"
                                             f"ops.{crash.verb}.{step}.undo=kill@1")
        settle(node)
        assert_machine(node, SIZE, ["then"])
        if same:
            assert box.life(NAME) == life, step
        if ended:  # else this step has nothing to undo
            undone += 1
            assert ended["state"] == "failed" and "made to fail" in ended["error"]["detail"]
    assert undone >= 1, steps


def test_kill_9_of_the_driver_between_memory_and_its_end(node):
    """The memory is written and the machine runs still: saving is repeated."""
    fresh(node)
    box = Machines(node)
    life = box.life(NAME)
    for call, when in (("save", "before"), ("save", "after"), ("start", "before"),
                       ("start", "after")):
        box.faults(**{call: {"count": 1, "crash": when}})
        done = node.api.change("POST", f"{PATH}/snapshots", {"name": "new", "memory": True})
        assert done["state"] == "done"
        assert_machine(node, SIZE, ["then", "new"])
        assert box.life(NAME) == life, (call, when)
        node.api.change("DELETE", f"{PATH}/snapshots/new")
    box.faults()
