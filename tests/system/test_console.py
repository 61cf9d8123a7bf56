"""Consoles of real containers, and their logs."""
import subprocess

import pytest
from harness import lend
from harness.node import program
from harness.shell import wait_for
from harness.stream import Refused
from harness.terminal import Terminal

NAME = "console.example.org"
WRITE = "/bin/busybox", "sh", "-c"


@pytest.fixture(scope="module", autouse=True)
def guest(lxc):
    with lend.guest(lxc, NAME):
        yield


def write(node, text):
    """As the guest's init and kernel do: to its console."""
    node.api.exec(NAME, *WRITE, f"echo '{text}' >/dev/console")


def logs(node, **query):
    return node.api.call("GET", f"/v1/guests/{NAME}/logs", query=query).text.replace("\r\n", "\n")


def test_logs_keep_what_was_written_and_give_its_end(lxc):
    for word in ("one", "two", "three"):
        write(lxc, word)
    wait_for("all is there", lambda: logs(lxc).endswith("one\ntwo\nthree\n"))
    assert logs(lxc, tail=2) == "two\nthree\n" and logs(lxc, tail=0) == ""
    assert lxc.api.send("GET", f"/v1/guests/{NAME}/logs", query={"tail": "x"}).json["field"] == "tail"


def test_logs_are_followed_until_the_guest_stops(lxc):
    write(lxc, "before")
    wait_for("it is there", lambda: logs(lxc).endswith("before\n"))
    follow = subprocess.Popen([program("corpus"), "logs", "-f", "--tail", "1", NAME],
                              env=lxc.client, stdout=subprocess.PIPE)
    with follow.stdout as out:
        assert out.readline().strip() == b"before"
        write(lxc, "while")
        assert out.readline().strip() == b"while"
        lxc.api.act(NAME, "kill")
        out.read()
    assert follow.wait(60) == 0
    assert "while" in logs(lxc)  # also of one that is stopped
    lxc.api.act(NAME, "start")


def test_a_console_is_for_one_and_ends_with_its_client(lxc):
    with lxc.api.console(NAME) as stream:
        write(lxc, "to all")
        stream.until_out(b"to all")
        with pytest.raises(Refused) as refused:
            lxc.api.console(NAME)
        assert refused.value.status == 409
        # A command of before may not have gone quite yet.
        wait_for("the console alone", lambda: [
            s["kind"] for s in lxc.api.sessions(guest=NAME)] == ["console"])
    wait_for("it is free", lambda: lxc.api.sessions() == [])
    with lxc.api.console(NAME) as stream:
        stream.until(lambda s: s.notices)
        stream.detach()
    wait_for("it is free", lambda: lxc.api.sessions() == [])


def test_a_console_outlives_the_agent(lxc):
    with lxc.api.console(NAME) as stream:
        stream.until(lambda s: s.notices)
        lxc.kill9()
        lxc.start()
        write(lxc, "still here")
        stream.until_out(b"still here")
    wait_for("it is free", lambda: lxc.api.sessions() == [])


def test_a_console_ends_with_its_guest(lxc):
    with lxc.api.console(NAME) as stream:
        stream.until(lambda s: s.notices)
        lxc.api.act(NAME, "kill")
        assert stream.to_end() == {"closed": True}
    lxc.api.act(NAME, "start")


def test_the_command_line_is_left_by_its_keys(lxc):
    with Terminal([program("corpus"), "console", NAME], lxc.client) as terminal:
        terminal.until(b"ctrl-p ctrl-q")
        wait_for("it is open", lambda: lxc.api.sessions() != [])
        write(lxc, "shown")
        terminal.until(b"shown")
        terminal.type(b"\x10\x11")
        assert terminal.wait() == 0 and terminal.is_as_before()
    wait_for("it is free", lambda: lxc.api.sessions() == [])
