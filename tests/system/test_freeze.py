"""Freezing: everything in a guest stands still and goes on later, whatever happens between."""
import pytest
from harness import faults, lend, testbed
from harness.api import Problem
from harness.rootfs import PAGE
from harness.shell import wait_for

NAME = "cold.example.org"
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


@pytest.fixture
def web(lxc):
    """A running guest with its page published; destroyed afterwards."""
    with lend.web(lxc, NAME) as port:
        yield port


def test_what_is_asked_of_a_frozen_guest_is_answered_when_it_goes_on(lxc, web):
    before = lxc.api.guest(NAME)
    assert lxc.api.act(NAME, "freeze")["result"]["state"] == "frozen"
    with lxc.bed.socket(testbed.CLIENT) as client:
        client.settimeout(60)
        client.connect((testbed.NODE_ADDRESS, web))
        client.send(REQUEST)
        with pytest.raises(OSError):
            lxc.fetch(web, timeout=0.3)
        assert lxc.api.guest(NAME)["pid"] == before["pid"]
        assert lxc.api.act(NAME, "thaw")["result"]["state"] == "running"
        answer = b""
        while not answer.endswith(PAGE):
            answer += client.recv(4096)
    after = lxc.api.guest(NAME)
    assert [after[k] for k in ("pid", "network", "ports")] == \
        [before[k] for k in ("pid", "network", "ports")]


def test_what_is_so_already_is_a_result(lxc, web):
    assert lxc.api.act(NAME, "thaw")["changed"] is False
    lxc.api.act(NAME, "freeze")
    assert lxc.api.act(NAME, "freeze")["changed"] is False
    assert lxc.api.plan("POST", f"/v1/guests/{NAME}/actions/freeze")["changed"] is False


def test_a_frozen_guest_stays_so_while_the_agent_and_its_driver_come_and_go(lxc, web):
    lxc.api.act(NAME, "freeze")
    lxc.kill9()
    lxc.start()
    wait_for("it is seen", lambda: lxc.api.guest(NAME)["state"] == "frozen")
    lxc.api.act(NAME, "thaw")
    lxc.await_page(web)


@pytest.mark.parametrize("verb, state", [("stop", "stopped"), ("kill", "stopped"),
                                         ("restart", "running")])
def test_a_frozen_guest_can_be_ended(lxc, web, verb, state):
    lxc.api.act(NAME, "freeze")
    assert lxc.api.act(NAME, verb)["result"]["state"] == state
    if state == "stopped":
        assert lxc.monitors() == {} and lxc.links() == []
        lxc.api.act(NAME, "start")
    lxc.await_page(web)


def test_a_frozen_guest_can_be_destroyed_and_changed(lxc, web):
    lxc.api.act(NAME, "freeze")
    path = f"/v1/guests/{NAME}"
    lxc.api.change("PATCH", path, {"labels": {"a": "1"}, "limits": {"pids": 100}})
    published = lxc.api.change("POST", f"{path}/ports", {"guest": 80})["result"]["host"]
    lxc.api.act(NAME, "thaw")
    lxc.await_page(published)
    lxc.api.act(NAME, "freeze")
    lxc.api.destroy(NAME)
    lxc.assert_empty()
    lxc.api.create(NAME, ports=[{"guest": 80, "host": web, "purpose": "web"}])


def test_what_does_not_run_is_not_frozen_and_what_is_frozen_not_started(lxc, web):
    lxc.api.act(NAME, "freeze")
    for verb, state in (("start", "frozen"), ("freeze", "stopped"), ("thaw", "stopped")):
        if lxc.api.guest(NAME)["state"] != state:
            lxc.api.act(NAME, "stop")
        with pytest.raises(Problem) as refused:
            lxc.api.act(NAME, verb)
        assert refused.value.code == "illegal_state" and state in refused.value.detail
        assert lxc.api.guest(NAME)["state"] == state


def test_the_way_into_frost_is_told_by_events(lxc, web):
    with lxc.api.events() as stream:
        lxc.api.act(NAME, "freeze")
        seen = stream.until(lambda e: e["type"] == "guest.state" and e["state"] == "frozen")
    states = [(e["previous"], e["state"]) for e in seen if e["type"] == "guest.state"]
    assert states == [("running", "freezing"), ("freezing", "frozen")]


def test_a_guest_that_could_not_be_frozen_goes_on(fake):
    fake.api.create("warm.example.org", driver="fake")
    faults.order(fake, freeze={
        "count": 1, "error": {"code": "driver_failed", "message": "too warm"}})
    with pytest.raises(Problem) as failed:
        fake.api.act("warm.example.org", "freeze")
    faults.order(fake)
    assert failed.value.code == "driver_failed" and "too warm" in failed.value.detail
    wait_for("it is seen running", lambda: fake.api.guest("warm.example.org")["state"] == "running")
    fake.api.destroy("warm.example.org")
