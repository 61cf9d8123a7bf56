"""Life without hands: guests that start with the node in order, that come back when they end, and a
node that goes to rest and back. docs/life.md tells how."""
import concurrent.futures
import os
import signal

import pytest
from harness.api import Problem
from harness.shell import wait_for

FAST = {"restart": {"delay": "50ms", "delay_max": "100ms", "reset": "1h"}, "stop_timeout": "1s"}


@pytest.fixture
def node(make_node):
    return make_node(settings=FAST, drivers=("fake",))


def create(node, name, driver="fake", **fields):
    return node.api.create(name, driver=driver, **fields)


def state(node, name):
    return node.api.guest(name)["state"]


def states(node):
    return {guest["name"]: guest["state"] for guest in node.api.guests()}


def rest(node):
    return node.api.get("/v1/node")["rest"]


def await_rest(node, wanted, seconds=30):
    wait_for(f"the node to be {wanted}", lambda: rest(node)["state"] == wanted, seconds)


def set_mode(node, mode, **fields):
    return node.api.call("PATCH", "/v1/node", {"mode": mode} | fields).json


def newest_event(node):
    answer = node.api.send("GET", "/v1/events", query={"follow": "false", "after": 0})
    numbers = [int(line[4:]) for line in answer.text.splitlines() if line.startswith("id: ")]
    return numbers[-1] if numbers else 0


def events_since(node, number):
    with node.api.events(after=number) as events:
        set_mode(node, "drain")
        seen = events.until(lambda event: event.get("mode") == "drain")
        set_mode(node, "active")
    return seen


def moves(events, to):
    """Names of the guests in the order in which they came to be that."""
    return [event["target"] for event in events
            if event["type"] == "guest.state" and event["state"] == to]


def problem(node, code):
    return next((problem["message"] for problem in node.api.get("/v1/node")["problems"]
                 if problem["code"] == code), "")


def end(node, name, number=signal.SIGKILL):
    """Ends the guest's init from outside."""
    pid = node.api.guest(name)["pid"]
    os.kill(pid, number)
    return pid


def await_restart(node, name, before, seconds=20):
    wait_for(f"{name} to run again",
             lambda: (guest := node.api.guest(name))["state"] == "running" and
             guest["pid"] not in (before, None), seconds)


# --- with the node ---

ORDER = {"db": 0, "web1": 10, "web2": 10, "cron": 20}


def create_ordered(node):
    for name, order in ORDER.items():
        create(node, name, autostart={"order": order})


def test_guests_start_in_order_after_a_boot_and_one_that_fails_holds_nobody_up(node):
    create_ordered(node)
    create(node, "by-hand", autostart={"on": False})
    create(node, "stopped")
    node.api.act("stopped", "stop")
    broken = create(node, "broken", autostart={"order": 5})
    newest = newest_event(node)
    node.pretend_boot()
    init = node.pool / "volumes" / broken["id"] / "rootfs/sbin/init"
    init.rename(init.with_name("was-init"))
    node.start()
    await_rest(node, "awake")
    seen = moves(events_since(node, newest), "running")
    assert seen[0] == "db" and sorted(seen[1:3]) == ["web1", "web2"] and seen[3:] == ["cron"]
    assert states(node) == dict.fromkeys(ORDER, "running") | {
        "by-hand": "stopped", "stopped": "stopped", "broken": "stopped"}
    assert "broken" in problem(node, "guests.not_started")
    init.with_name("was-init").rename(init)
    node.api.act("broken", "start")
    wait_for("the problem to be gone", lambda: not problem(node, "guests.not_started"))
    # Another start of the agent is no boot.
    node.api.act("by-hand", "start")
    node.api.act("cron", "stop")
    node.restart()
    assert state(node, "cron") == "stopped" and rest(node)["state"] == "awake"


def test_a_delay_holds_the_next_number_back_and_a_death_of_the_agent_does_not_end_it(node):
    create(node, "first", autostart={"order": 1, "delay": "2s"})
    create(node, "second", autostart={"order": 2})
    node.pretend_boot()
    node.start()
    wait_for("the first one", lambda: state(node, "first") == "running")
    assert (state(node, "second"), rest(node)) == (
        "stopped", {"state": "waking", "guests": 1, "running": 1})
    node.kill9()
    node.start()
    await_rest(node, "awake")
    assert states(node) == {"first": "running", "second": "running"}
    for name in ("first", "second"):
        operations = node.api.get("/v1/operations", target=name)["operations"]
        assert [op["verb"] for op in operations] == ["guest.start", "guest.create"]


# --- maintenance ---

def test_maintenance_brings_guests_to_rest_in_reverse_order_and_back(node):
    create_ordered(node)
    create(node, "stopped", start=False)
    plan = node.api.plan("PATCH", "/v1/node", {"mode": "maintenance", "guests": "stop"})
    assert plan["stop"] == ["cron", "web1", "web2", "db"] and plan["start"] == []
    assert set(states(node).values()) == {"running", "stopped"}
    newest = newest_event(node)
    set_mode(node, "maintenance", guests="stop")
    await_rest(node, "resting")
    assert rest(node) == {"state": "resting", "guests": 4, "running": 0}
    with pytest.raises(Problem) as refused:
        node.api.act("db", "start")
    assert refused.value.code == "illegal_state"
    # A boot in maintenance starts nothing; what is stopped for good meanwhile stays so.
    node.pretend_boot()
    node.start()
    node.api.act("web2", "stop")
    assert rest(node) == {"state": "resting", "guests": 3, "running": 0}
    assert node.api.plan("PATCH", "/v1/node", {"mode": "active"})["start"] == ["db", "web1", "cron"]
    set_mode(node, "active")
    await_rest(node, "awake")
    seen = events_since(node, newest)
    stopped = moves(seen, "stopped")
    assert stopped[0] == "cron" and sorted(stopped[1:3]) == ["web1", "web2"] and stopped[3] == "db"
    assert moves(seen, "running") == ["db", "web1", "cron"]
    assert states(node) == {"db": "running", "web1": "running", "cron": "running",
                            "web2": "stopped", "stopped": "stopped"}


def test_maintenance_goes_on_when_the_agent_dies_and_can_be_called_off(node):
    create_ordered(node)
    node.restart(faults="ops.guest.stop.stop.before=kill")
    set_mode(node, "maintenance", guests="stop")
    node.died()
    node.start()
    await_rest(node, "resting")
    assert set(states(node).values()) == {"stopped"}
    set_mode(node, "active")
    set_mode(node, "maintenance", guests="stop")
    set_mode(node, "active")
    await_rest(node, "awake")
    assert set(states(node).values()) == {"running"}
    # Without stop they run on.
    set_mode(node, "maintenance")
    assert rest(node) == {"state": "awake", "guests": 0, "running": 4}
    with pytest.raises(Problem) as refused:
        set_mode(node, "drain", guests="stop")
    assert (refused.value.code, refused.value.field) == ("invalid", "guests")


# --- restart policies ---

def test_a_guest_that_ends_is_started_again_as_its_policy_says(node):
    create(node, "always", restart={"policy": "always"})
    create(node, "failing", restart={"policy": "on-failure"})
    create(node, "never", restart={"policy": "never"})
    before = {name: end(node, name) for name in ("always", "failing", "never")}
    for name in ("always", "failing"):
        await_restart(node, name, before[name])
        assert node.api.guest(name)["restarts"] == 1
    never = wait_for("it to be told", lambda: (guest := node.api.guest("never"))["state"] ==
                     "stopped" and guest["problem"] and guest)
    assert "start it" in never["problem"] and never["restarts"] == 0
    # A start by somebody begins anew.
    node.api.act("never", "start")
    node.api.act("always", "restart")
    assert node.api.guest("always")["restarts"] == 0
    assert node.api.guest("never")["problem"] is None


def test_one_that_ends_again_and_again_is_left_alone_until_somebody_starts_it(node):
    create(node, "weak", restart={"policy": "always", "max": 3})
    with node.api.events(after=newest_event(node)) as events:
        for _ in range(4):
            wait_for("it to run", lambda: state(node, "weak") == "running")
            end(node, "weak")
            wait_for("its end to be seen", lambda: state(node, "weak") != "running")
        seen = events.until(lambda event: event["type"] == "guest.restart_given_up")
    assert len([e for e in seen if e["type"] == "guest.restarting"]) == 3
    wait_for("the problem", lambda: "weak" in problem(node, "guests.given_up"))
    assert node.api.guest("weak")["restarts"] == 3
    assert "left alone" in node.api.guest("weak")["problem"]
    node.restart()  # it stays so, and is not told a second time
    wait_for("the problem", lambda: "weak" in problem(node, "guests.given_up"))
    assert not [e for e in events_since(node, seen[-1]["number"])
                if e["type"] == "guest.restart_given_up"]
    node.api.act("weak", "start")
    wait_for("the problem to go", lambda: not problem(node, "guests.given_up"))
    await_restart(node, "weak", end(node, "weak"))
    assert node.api.guest("weak")["restarts"] == 1


def test_a_stop_or_a_patch_ends_the_waiting_for_a_restart(make_node):
    node = make_node(settings={"restart": {"delay": "1h", "delay_max": "1h"}}, drivers=("fake",))
    for name in ("stopped", "patched", "destroyed", "kept"):
        create(node, name, restart={"policy": "always"})
        end(node, name)
        wait_for("its end to be seen", lambda name=name: node.api.guest(name)["problem"])
    assert node.api.act("stopped", "stop")["state"] == "done"
    node.api.change("PATCH", "/v1/guests/patched", {"restart": {"policy": "never"}})
    node.api.destroy("destroyed")
    wait_for("the new policy to count", lambda: "never" in node.api.guest("patched")["problem"])
    assert node.api.guest("stopped")["problem"] is None
    # An agent that comes between goes on waiting; the pause counts from the end of the guest.
    node.restart()
    assert "started again" in node.api.guest("kept")["problem"]
    node.stop()
    node.configure(restart={"delay": "10ms", "delay_max": "10ms"})
    node.start()
    wait_for("the restart", lambda: state(node, "kept") == "running")
    assert [state(node, name) for name in ("stopped", "patched")] == ["stopped", "stopped"]


def test_two_hundred_that_end_at_once_come_back(node):
    names = [f"n{n}" for n in range(200)]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda name: create(node, name, restart={"policy": "on-failure"}), names))
        before = {guest["name"]: guest["pid"] for guest in node.api.guests()}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        wait_for("all to run again", lambda: all(
            guest["state"] == "running" and guest["pid"] not in (None, before[guest["name"]])
            for guest in node.api.guests()), 60)
        assert {guest["restarts"] for guest in node.api.guests()} == {1}
        list(pool.map(node.api.destroy, names))
