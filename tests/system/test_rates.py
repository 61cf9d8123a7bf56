"""Network rates of real containers: held, changed while data flows, kept over restarts."""
import contextlib
import time

import pytest
from harness import testbed
from harness.api import Problem
from harness.shell import run, wait_for

NAME = "swift.example.org"
MB = 1_000_000


@pytest.fixture
def guest(lxc):
    lxc.api.create(NAME, limits={"net_egress": MB, "net_ingress": 20 * MB})
    yield lxc.api.guest(NAME)
    lxc.api.destroy(NAME)
    lxc.assert_empty()


@contextlib.contextmanager
def flow_out_of(lxc):
    """A connection from the guest to the client outside: its two ends."""
    with lxc.bed.socket(testbed.CLIENT) as listener, lxc.guest_socket(NAME) as sender:
        listener.bind((testbed.CLIENT_ADDRESS, 0))
        listener.listen()
        sender.connect(listener.getsockname())
        receiver, _ = listener.accept()
        with receiver:
            sender.setblocking(False)
            receiver.setblocking(False)
            yield sender, receiver


def pumped(sender, receiver, seconds):
    """Bytes a second that arrive when as many are sent as can be."""
    data, count, begin = bytes(65536), 0, time.monotonic()
    while time.monotonic() < begin + seconds:
        with contextlib.suppress(BlockingIOError):
            sender.send(data)
        with contextlib.suppress(BlockingIOError):
            count += len(receiver.recv(1 << 20))
    return count / (time.monotonic() - begin)


def assert_held(flow, rate):
    """TCP first has to find its speed."""
    rates = []
    for _ in range(20):
        rates.append(pumped(*flow, 0.8))
        if 0.7 * rate < rates[-1] < 1.2 * rate:
            return
    raise AssertionError(f"{rates} instead of {rate}")


def set_limits(lxc, **limits):
    return lxc.api.change("PATCH", f"/v1/guests/{NAME}", {"limits": limits})


def test_a_rate_holds_and_changes_while_data_flows(lxc, guest):
    assert guest["limits"]["net_egress"] == MB
    with flow_out_of(lxc) as flow:
        assert_held(flow, MB)
        set_limits(lxc, net_egress=4 * MB)
        assert_held(flow, 4 * MB)
        set_limits(lxc, net_egress=None)
        wait_for("nothing slows it down", lambda: pumped(*flow, 0.5) > 8 * MB)
    assert lxc.api.guest(NAME)["limits"]["net_egress"] is None


def test_rates_are_there_after_a_restart_of_guest_and_agent(lxc, guest):
    lxc.api.act(NAME, "restart")
    with flow_out_of(lxc) as flow:
        lxc.restart()
        assert_held(flow, MB)
        # What somebody took away is there again at the latest when the agent starts.
        run(*lxc.bed.inside(testbed.NODE), "tc", "qdisc", "del", "dev", f"cg{guest['id']}", "ingress")
        lxc.restart()
        assert_held(flow, MB)


def test_a_change_whose_rates_cannot_be_set_is_taken_back_wholly(lxc, guest):
    """Also what the driver was told already."""
    before = lxc.api.guest(NAME)["limits"]
    lxc.restart(faults="ops.guest.update.rates.before=fail@1")
    with pytest.raises(Problem):
        set_limits(lxc, memory="128MiB", net_egress=2 * MB)
    assert lxc.api.guest(NAME)["limits"] == before
    assert lxc.api.get(f"/v1/guests/{NAME}/stats")["memory"]["set"] == before["memory"]
    with flow_out_of(lxc) as flow:
        assert_held(flow, MB)
    # Rates alone are none of the driver's business.
    assert set_limits(lxc, net_egress=2 * MB)["state"] == "done"
    lxc.restart()


def shaped(lxc, link):
    return "htb" in run(*lxc.bed.inside(testbed.NODE), "tc", "qdisc", "show", "dev", link,
                        check=False)


def test_rates_come_back_when_the_guest_reboots_by_itself(lxc, guest):
    link, = lxc.links()
    assert shaped(lxc, link)
    lxc.in_guest(NAME, "/bin/busybox", "reboot", "-f", "-n", check=False)
    wait_for("it has another first process",
             lambda: lxc.api.guest(NAME)["pid"] not in (None, guest["pid"]))
    wait_for("its new link is shaped", lambda: lxc.links() and shaped(lxc, lxc.links()[0]))
