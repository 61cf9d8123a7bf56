"""Life without hands: guests that start with the node in order, that come back when they end, and a
node that goes to rest and back. docs/life.md tells how."""
import concurrent.futures
import contextlib
import os
import re
import signal

import pytest
from harness import faults
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


def await_rest(node, wanted, seconds=60):
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


def await_restart(node, name, before, seconds=60):
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
    create(node, "first", autostart={"order": 1, "delay": "5s"})
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
    newest = newest_event(node)
    node.restart(faults="ops.guest.stop.stop.before=kill")
    set_mode(node, "maintenance", guests="stop")
    node.died()
    faults.order(node, stop={"count": 1, "delay_ms": 300})
    node.start()
    await_rest(node, "resting")
    assert set(states(node).values()) == {"stopped"}
    set_mode(node, "active")
    set_mode(node, "maintenance", guests="stop")
    set_mode(node, "active")
    await_rest(node, "awake")
    assert set(states(node).values()) == {"running"}
    stopped = moves(events_since(node, newest), "stopped")
    assert stopped[0] == "cron" and sorted(stopped[1:3]) == ["web1", "web2"] and stopped[3] == "db"
    # Without stop they run on.
    set_mode(node, "maintenance")
    assert rest(node) == {"state": "awake", "guests": 0, "running": 4}
    with pytest.raises(Problem) as refused:
        set_mode(node, "drain", guests="stop")
    assert (refused.value.code, refused.value.field) == ("invalid", "guests")


@pytest.fixture
def held(make_node):
    """A node that does nothing with guests, but takes what is to be done, until `let_go`: one at a
    time is done, and a guest that is being stopped does not end."""
    node = make_node(settings=FAST | {"drivers": [{"name": "fake", "parallel": 1}]},
                     drivers=("fake",))
    stubborn = create(node, "stubborn", start=False)
    (node.pool / "volumes" / stubborn["id"] / "rootfs/etc/ignore-shutdown").touch()

    def hold():
        node.api.act("stubborn", "start")
        node.api.begin("POST", "/v1/guests/stubborn/actions/stop", {"timeout": "1h"})
        wait_for("it to be stopped", lambda: state(node, "stubborn") == "stopping")

    node.hold, node.let_go = hold, lambda: end(node, "stubborn")
    yield node
    with contextlib.suppress(TypeError, OSError):  # done, or the node is gone
        node.let_go()


def test_maintenance_called_off_before_a_stop_has_begun_is_not_over_until_all_run(held):
    create(held, "cron")
    held.hold()
    set_mode(held, "maintenance", guests="stop")
    set_mode(held, "active")
    assert state(held, "cron") == "running"
    assert rest(held) == {"state": "waking", "guests": 1, "running": 2}
    held.let_go()
    await_rest(held, "awake")
    assert states(held) == {"cron": "running", "stubborn": "stopped"}


def test_maintenance_that_comes_while_guests_are_being_started_has_them_rest_not_end(held):
    for name in ("db", "web"):
        create(held, name)
    held.hold()
    set_mode(held, "maintenance", guests="stop")
    set_mode(held, "active")
    set_mode(held, "maintenance", guests="stop")
    held.let_go()
    await_rest(held, "resting")
    assert rest(held) == {"state": "resting", "guests": 2, "running": 0}
    set_mode(held, "active")
    await_rest(held, "awake")
    assert states(held) == {"db": "running", "web": "running", "stubborn": "stopped"}


def test_a_machine_that_goes_down_has_its_guests_stopped_in_order_first(node):
    create_ordered(node)
    create(node, "by-hand", autostart={"on": False})
    newest = newest_event(node)
    node.process.send_signal(signal.SIGPWR)
    node.process.terminate()  # as systemd does when it has told of it
    assert node.process.wait(120) == 0
    node.forget_boot()
    node.start()
    await_rest(node, "awake")
    seen = events_since(node, newest)
    stopped = moves(seen, "stopped")
    assert stopped.index("cron") < stopped.index("web1") < stopped.index("db")
    assert moves(seen, "running")[0] == "db" and states(node) == dict.fromkeys(
        ORDER, "running") | {"by-hand": "stopped"}


def test_a_machine_that_goes_down_waits_for_a_guest_that_somebody_is_stopping(held):
    held.hold()
    held.process.send_signal(signal.SIGPWR)
    held.process.terminate()
    wait_for("its end to begin", lambda: rest(held)["state"] == "stopping")
    held.let_go()
    assert held.process.wait(120) == 0
    held.start()
    assert states(held) == {"stubborn": "stopped"}


def test_a_machine_that_goes_down_takes_no_new_work_and_may_be_hurried(node):
    stubborn = create(node, "stubborn", start=False)
    (node.pool / "volumes" / stubborn["id"] / "rootfs/etc/ignore-shutdown").touch()
    node.api.act("stubborn", "start")
    node.process.send_signal(signal.SIGPWR)
    wait_for("its end to begin", lambda: rest(node)["state"] == "stopping")
    with pytest.raises(Problem) as refused:
        node.api.act("stubborn", "restart")
    assert refused.value.code == "unavailable"
    node.process.terminate()
    node.process.send_signal(signal.SIGINT)  # enough is enough
    assert node.process.wait(120) == 0
    node.start()
    assert state(node, "stubborn") in ("running", "stopping", "stopped")


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
            pid = end(node, "weak")
            wait_for("its end to be seen", lambda: node.api.guest("weak")["pid"] != pid)
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
            for guest in node.api.guests()), 180)
        assert {guest["restarts"] for guest in node.api.guests()} == {1}
        list(pool.map(node.api.destroy, names))


# --- real containers ---

@pytest.fixture
def containers(make_node):
    return make_node(settings=FAST)


def give_init(node, guest, script):
    """Replaces the init of a guest that is stopped."""
    path = node.pool / "volumes" / guest["id"] / "rootfs/sbin/init"
    path.write_text("#!/bin/sh\n" + script)


def test_how_an_init_ends_is_known_and_counts(containers):
    node = containers
    policy = {"policy": "on-failure", "max": 2}
    create(node, "killed", "lxc", restart=policy)
    create(node, "shut-down", "lxc", restart=policy)
    failing = create(node, "failing", "lxc", restart=policy, start=False)
    give_init(node, failing, "sleep 0.2; exit 3\n")
    await_restart(node, "killed", end(node, "killed"))
    assert node.api.guest("killed")["restarts"] == 1
    # Status 0 is a shutdown from inside: it stays so, also over a boot.
    with node.api.events(after=newest_event(node)) as events:
        node.in_guest("shut-down", "kill", "-TERM", "1", check=False)
        events.until(lambda event: event["type"] == "guest.shut_down")
        node.api.send("POST", "/v1/guests/failing/actions/start")
        told = events.until(lambda event: event["type"] == "guest.restart_given_up")[-1]
    assert told["target"] == "failing" and "exited with status 3" in told["message"]
    node.pretend_boot()
    node.start()
    await_rest(node, "awake")
    assert (state(node, "killed"), state(node, "shut-down")) == ("running", "stopped")


# --- health ---

def health(node, name):
    return node.api.guest(name)["health_state"]


def await_health(node, name, wanted, seconds=60):
    wait_for(f"{name} to be {wanted}", lambda: health(node, name) == wanted, seconds)


def set_check(node, name, **fields):
    """Nothing of the check before is kept; without fields: no check."""
    none = {"port": None, "path": None, "command": None}
    node.api.change("PATCH", f"/v1/guests/{name}", {"health": none | fields if fields else None})


def test_what_runs_in_a_guest_is_checked_by_page_port_and_command(containers):
    node, often = containers, {"interval": "1s", "timeout": "30s", "retries": 1, "grace": "0s"}
    create(node, "web", "lxc", health={"check": "http", "port": 80, **often, "interval": "1h"})
    assert health(node, "web") in ("starting", "healthy")  # as soon as it is looked at
    await_health(node, "web", "healthy")  # though the interval is long
    node.api.act("web", "stop")
    assert health(node, "web") == "none"
    node.api.act("web", "start")
    await_health(node, "web", "healthy")

    checks = [({"check": "http", "port": 80, "path": "/none", **often, "retries": 2}, "404"),
              ({"check": "tcp", "port": 80, **often}, None),
              ({"check": "tcp", "port": 81, **often}, "refused"),
              ({"check": "exec", "command": ["true"], **often}, None),
              ({"check": "exec", "command": ["sh", "-c", "exit 7"], **often}, "status 7"),
              ({"check": "exec", "command": ["none"], **often}, "none|127"),
              ({"check": "exec", "command": ["sleep", "1234"], **often, "timeout": "1s"}, "in time")]
    for check, why in checks:
        # What is told of the check before is kept when this change is.
        set_check(node, "web")
        newest = newest_event(node)
        set_check(node, "web", **check)
        with node.api.events(after=newest) as events:
            told = events.until(lambda event: event["type"] == "guest.health" and
                                event["state"] in ("healthy", "unhealthy"))[-1]
        assert told["state"] == ("unhealthy" if why else "healthy"), told
        for text in (told.get("message"), node.api.guest("web")["problem"]):
            assert (re.search(why, text) if why else text is None), told
    # What took too long is not left behind.
    wait_for("the command to be gone", lambda: "1234" not in node.in_guest("web", "ps"))
    assert state(node, "web") == "running" and node.api.guest("web")["restarts"] == 0

    node.restart()
    await_health(node, "web", "unhealthy")
    set_check(node, "web")
    wait_for("no check", lambda: health(node, "web") == "none")


def test_one_that_does_not_work_any_more_is_restarted_and_a_frozen_one_is_not(containers):
    node = containers
    create(node, "web", "lxc", restart={"policy": "on-failure"}, health={
        "check": "http", "port": 80, "interval": "1s", "timeout": "30s", "retries": 1,
        "grace": "30s", "restart": True})
    await_health(node, "web", "healthy")
    node.api.act("web", "freeze")
    assert health(node, "web") == "none"
    node.api.act("web", "thaw")
    await_health(node, "web", "healthy")
    before = node.api.guest("web")["pid"]
    node.in_guest("web", "sh", "-c", "kill $(ps | sed -n 's/^ *\\([0-9]*\\) .*httpd.*/\\1/p')",
                  check=False)
    await_restart(node, "web", before)
    assert node.api.guest("web")["restarts"] == 1
    await_health(node, "web", "healthy")


def test_many_checks_take_turns(make_node):
    node = make_node(settings=FAST | {"health": {"parallel": 2}}, drivers=("fake",))
    check = {"check": "exec", "command": ["true"], "interval": "1s", "grace": "0s"}
    names = [f"n{n}" for n in range(60)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: create(node, name, health=check), names))
        wait_for("all to be healthy", lambda: all(
            guest["health_state"] == "healthy" for guest in node.api.guests()))
        list(pool.map(node.api.destroy, names))
