"""A driver that fails, crashes, hangs or babbles: the fake one does so on demand (drivers/fake)."""
import json
import os
import pathlib
import signal
import time

import pytest
from harness.shell import wait_for

NAME = "f.example.org"
BODY = {"name": NAME, "image": "busybox", "driver": "fake"}


@pytest.fixture
def faulty(fake):
    """Orders faults; takes them back afterwards."""
    path = wait_for("the driver's folder", lambda: next(fake.dir.glob("state/**/fake"), None))
    yield lambda **faults: (path / "faults.json").write_text(json.dumps(faults))
    (path / "faults.json").unlink(missing_ok=True)
    fake.clear()
    fake.assert_empty()


def test_a_driver_that_fails_fails_just_the_operation_and_leaves_nothing(fake, faulty):
    for call in ("create", "start"):
        faulty(**{call: {"count": 1, "error": {"code": "driver_failed", "message": "out of dilithium"}}})
        answer = fake.api.send("POST", "/v1/guests", BODY, query={"wait": 30})
        assert answer.json["code"] == "driver_failed" and "dilithium" in answer.json["detail"]
        assert fake.api.get(f"/v1/operations/{answer.json['operation']}")["state"] == "failed"
        assert fake.api.guests() == []
        fake.assert_empty()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("call", ["create", "start"])
def test_a_driver_that_crashes_once_is_started_again_and_the_change_is_finished(
        fake, faulty, call, moment):
    faulty(**{call: {"count": 1, "crash": moment}})
    done = fake.api.change("POST", "/v1/guests", BODY)
    assert done["state"] == "done"
    assert fake.api.guest(NAME)["state"] == "running"


def test_a_driver_is_back_by_itself_after_its_death(fake, faulty):
    fake.api.create(NAME, driver="fake")
    old = fake.driver_pid("fake")
    os.kill(old, signal.SIGKILL)
    wait_for("another process", lambda: fake.driver_pid("fake") not in (0, old))
    assert fake.api.guest(NAME)["state"] == "running"
    fake.api.act(NAME, "stop")


def calls_of(node):
    """The processes of those under way."""
    pid = node.driver_pid("fake")
    return set(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_a_list_that_comes_late_does_not_bring_back_who_has_ended(fake, faulty):
    fake.api.create(NAME, driver="fake")
    fake.api.create("calm.example.org", driver="fake")
    faulty(list={"count": 1, "late_ms": 2000})
    orders = next(fake.dir.glob("state/**/faults.json"))
    os.kill(fake.driver_pid("fake"), signal.SIGKILL)  # the new one is asked for its guests
    wait_for("a list", lambda: json.loads(orders.read_text())["list"]["count"] == 0)
    calls = calls_of(fake)
    os.kill(fake.api.guest(NAME)["pid"], signal.SIGKILL)
    wait_for("its end", lambda: fake.api.guest(NAME)["state"] == "stopped")
    wait_for("the list is told", lambda: not calls & calls_of(fake))
    fake.api.act("calm.example.org", "restart")  # what is told of it comes after the list
    assert fake.api.guest(NAME)["state"] == "stopped"


def test_that_it_was_held_for_a_moment_is_told_late_and_not_believed(fake, faulty):
    fake.api.create(NAME, driver="fake")
    guest = fake.api.guest(NAME)
    event = {"id": guest["id"], "state": "frozen", "pid": guest["pid"]}
    with fake.api.events() as stream:
        faulty(exec={"count": 1, "garbage": json.dumps({"event": event})})
        assert fake.api.exec(NAME, "true")["status"] == 0  # it is told before that begins
        fake.api.act(NAME, "restart")
        seen = stream.until(lambda event: event["type"] == "operation.ended")
    assert "frozen" not in [event.get("state") for event in seen], seen


def test_a_driver_that_babbles_is_replaced(fake, faulty):
    fake.api.create(NAME, driver="fake")
    faulty(stop={"count": 1, "garbage": "\x00not a message"})
    assert fake.api.act(NAME, "stop")["state"] == "done"
    assert fake.api.guest(NAME)["state"] == "stopped"


def test_reads_are_answered_while_the_driver_is_stopped(fake, faulty):
    fake.api.create(NAME, driver="fake")
    pid = fake.driver_pid("fake")
    os.kill(pid, signal.SIGSTOP)
    try:
        begun = fake.api.begin("POST", f"/v1/guests/{NAME}/actions/restart")
        began = time.monotonic()
        for _ in range(100):
            assert len(fake.api.guests()) == 1
            fake.api.get("/v1/node")
            fake.api.get("/v1/node/slots")
        assert time.monotonic() - began < 30  # one that waits does so for minutes
    finally:
        os.kill(pid, signal.SIGCONT)
    assert fake.api.wait(begun["id"])["state"] == "done"


def test_a_hanging_call_does_not_hold_up_other_guests(fake, faulty):
    fake.api.create("calm.example.org", driver="fake")
    faulty(start={"count": 1, "hang": True})
    begun = fake.api.begin("POST", "/v1/guests", BODY)
    wait_for("it hangs", lambda: fake.api.get(f"/v1/operations/{begun['id']}")["step"] == "start")
    fake.api.act("calm.example.org", "restart")
    assert fake.api.get(f"/v1/operations/{begun['id']}")["state"] == "running"
    fake.api.call("DELETE", f"/v1/operations/{begun['id']}")
    os.kill(fake.driver_pid("fake"), signal.SIGKILL)  # or it would hang until its deadline
    ended = fake.api.wait(begun["id"], 90)
    assert ended["state"] in ("cancelled", "failed") and ended["cancel_requested"]
    assert [g["name"] for g in fake.api.guests()] == ["calm.example.org"]
