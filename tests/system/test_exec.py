"""Commands in real containers, through the API and by `corpus` in a terminal."""
import os
import pathlib
import signal
import subprocess

import pytest
from harness import lend
from harness.api import Problem
from harness.node import program
from harness.shell import wait_for
from harness.stream import STDIN_EOF, Refused
from harness.terminal import Terminal

NAME = "exec.example.org"
SH = ("/bin/busybox", "sh", "-c")


@pytest.fixture(scope="module", autouse=True)
def guest(lxc):
    with lend.guest(lxc, NAME):
        yield


@pytest.fixture(autouse=True)
def no_session_stays(lxc):
    """What a test leaves behind, as those do whose client vanishes, is forgotten after it."""
    yield
    for session in lxc.api.sessions():
        lxc.api.send("DELETE", f"/v1/sessions/{session['id']}")

    def forgotten():
        for session in lxc.api.sessions():  # it has ended now: once more forgets it
            lxc.api.send("DELETE", f"/v1/sessions/{session['id']}")
        return not lxc.holders()
    wait_for("all are forgotten", forgotten)


def corpus(node, *words, **options):
    return subprocess.run([program("corpus"), *words], env=node.client, timeout=60, check=False,
                          **({"capture_output": True, "stdin": subprocess.DEVNULL} | options))


def terminal(node, *words):
    return Terminal([program("corpus"), *words], node.client, rows=30, columns=90)


# --- by the API ---


def test_output_status_environment_user_and_directory(lxc):
    said = lxc.api.exec(NAME, *SH, "echo out; echo err >&2; echo $A; pwd; id -u; exit 3",
                        env={"A": "b c"}, cwd="/etc")
    assert (said["status"], said["stdout"], said["stderr"]) == (3, "out\nb c\n/etc\n0\n", "err\n")
    assert lxc.api.exec(NAME, *SH, "id -u; id -g", user="33:44")["stdout"] == "33\n44\n"
    assert lxc.api.exec(NAME, *SH, "kill -TERM $$")["signal"] == "TERM"
    assert lxc.api.exec(NAME, *SH, "cat", input="typed\n")["stdout"] == "typed\n"


def test_it_is_inside_the_guest(lxc):
    inside = lxc.api.exec(NAME, *SH, "readlink /proc/self/ns/pid; hostname")["stdout"].split()
    assert inside[0] != os.readlink("/proc/self/ns/pid") and inside[1] == NAME.split(".")[0] or \
        inside[1] == NAME
    with lxc.api.exec_stream(NAME, *SH, "echo up; exec sleep 70") as stream:
        stream.until_out(b"up\n")
        pid = lxc.api.session(stream.session)["pid"]
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        uid = int(next(l for l in status.splitlines() if l.startswith("Uid:")).split()[1])
        assert uid >= 100000
        assert NAME or os.readlink(f"/proc/{pid}/root")


@pytest.mark.parametrize("fields, field", [
    ({"command": ["no-such-thing"]}, "command"), ({"command": ["/bin/busybox"], "user": "nobody2"},
                                                  "user"),
    ({"command": ["/bin/busybox"], "cwd": "/no/such"}, "cwd")])
def test_what_the_guest_does_not_have_is_named(lxc, fields, field):
    with pytest.raises(Problem) as caught:
        lxc.api.call("POST", f"/v1/guests/{NAME}/exec", fields)
    assert caught.value.field == field
    wait_for("nothing is left", lambda: not lxc.holders())


def test_a_terminal_has_a_name_inside_the_guest(lxc):
    with lxc.api.exec_stream(NAME, *SH, "tty; stty size; read l; stty size", stdin=True,
                             terminal={"rows": 33, "columns": 99}) as stream:
        stream.until_out(b"33 99\r\n")
        assert b"/dev/pts/" in stream.out
        stream.resize(44, 111)
        stream.type(b"\n")
        stream.until_out(b"44 111\r\n")
        assert stream.to_end() == {"status": 0}


def test_commands_outlive_the_agent_and_the_driver(lxc):
    script = "while read l; do echo \"<$l>\"; done; exit 6"
    with lxc.api.exec_stream(NAME, *SH, script, stdin=True, terminal={}) as stream:
        def answers(word):
            stream.type(word + b"\n")
            stream.until_out(b"<" + word + b">")
        answers(b"one")
        lxc.kill9()
        answers(b"two")
        lxc.start()
        answers(b"three")
        lxc.restart()
        answers(b"four")
        driver = lxc.driver_pid("lxc")
        os.kill(driver, signal.SIGKILL)
        wait_for("another driver", lambda: lxc.driver_pid("lxc") not in (0, driver))
        answers(b"five")
        assert lxc.api.session(stream.session)["state"] == "running"
        stream.send(STDIN_EOF)
        assert stream.to_end() == {"status": 6}


def test_the_end_of_the_guest_ends_its_sessions(lxc):
    stream = lxc.api.exec_stream(NAME, *SH, "echo up; sleep 71", stdin=True, terminal={})
    stream.until_out(b"up")
    lxc.api.act(NAME, "kill")
    assert stream.to_end() in ({"lost": True}, {"signal": "KILL"})
    stream.close()
    with pytest.raises(Refused) as refused:
        lxc.api.exec_stream(NAME, "/bin/busybox", "true")
    assert refused.value.problem["code"] == "illegal_state"
    lxc.api.act(NAME, "start")


def test_a_hundred_commands_at_once(lxc):
    streams = []
    try:
        for i in range(100):
            streams.append(lxc.api.exec_stream(NAME, *SH, f"echo {i}; cat", stdin=True))
        for i, stream in enumerate(streams):
            stream.until_out(b"%d\n" % i)
            stream.send(STDIN_EOF)
        assert all(stream.to_end() == {"status": 0} for stream in streams)
    finally:
        for stream in streams:
            stream.close()


def test_output_of_100_mb_with_a_slow_reader_is_whole_and_bounded(lxc):
    with lxc.api.exec_stream(NAME, *SH, "head -c 100000000 /dev/zero; echo end") as stream:
        stream.until_out(b"\0")
        holder, = lxc.holders(stream.session)
        status = pathlib.Path(f"/proc/{holder}/status").read_text()
        assert int(status.split("VmHWM:")[1].split()[0]) < 4096
        stream.to_end(60)
        assert len(stream.out) == 100000004 and stream.exit == {"status": 0}


# --- by the command line ---


def test_exec_has_the_commands_streams_and_status(lxc):
    said = corpus(lxc, "exec", NAME, *SH, "echo out; echo err >&2; exit 42")
    assert (said.returncode, said.stdout, said.stderr) == (42, b"out\n", b"err\n")
    said = corpus(lxc, "exec", "-i", "-e", "A=b", "-w", "/tmp", NAME, "--", *SH, "cat; echo $A; pwd",
                  input=b"in\0\xff\n", stdin=None)
    assert said.stdout == b"in\0\xff\nb\n/tmp\n"
    assert corpus(lxc, "exec", NAME, *SH, "kill -KILL $$").returncode == 128 + 9
    assert corpus(lxc, "exec", NAME, "no-such-thing").returncode == 127
    assert corpus(lxc, "exec", "no.such.guest", "true").returncode == 125
    said = corpus(lxc, "exec", "--kill-after", "1s", NAME, *SH, "sleep 72")
    assert said.returncode == 128 + 9 and b"too long" in said.stderr
    said = corpus(lxc, "exec", "-t", NAME, *SH, "true")
    assert said.returncode == 125 and b"no terminal" in said.stderr


def test_much_goes_through_exec_both_ways(lxc, tmp_path):
    data = os.urandom(5_000_000)
    (tmp_path / "in").write_bytes(data)
    with open(tmp_path / "in", "rb") as file:
        assert corpus(lxc, "exec", "-i", NAME, *SH, "cat", stdin=file).stdout == data


def test_a_signal_to_exec_reaches_the_command(lxc):
    process = subprocess.Popen([program("corpus"), "exec", NAME, *SH,
                                "trap 'echo got; exit 9' INT; echo up; while :; do sleep 0.1; done"],
                               env=lxc.client, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.read() == b"got\n" and process.wait(60) == 9
    process.stdout.close()


def test_a_shell_in_a_terminal(lxc):
    with terminal(lxc, "exec", "-it", NAME, "/bin/busybox", "sh") as shell:
        shell.until(b"# ")
        assert not shell.is_as_before()
        shell.type(b"stty size; echo a''b\r")
        shell.until(b"30 90\r\nab\r\n")
        shell.resize(40, 100)
        shell.type(b"stty size\r")
        shell.until(b"40 100\r\n")
        shell.type(b"sh -c 'echo sle\"\"eping; exec sleep 100'\r")
        shell.until(b"sleeping\r\n")
        shell.type(b"\x03")
        shell.until(b"# ")
        shell.type(b"exit 7\r")
        assert shell.wait() == 7 and shell.is_as_before()


def test_leaving_and_coming_back(lxc):
    with terminal(lxc, "exec", "-it", NAME, "/bin/busybox", "sh") as shell:
        shell.until(b"# ")
        shell.type(b"word=kept\r")
        shell.until(b"# ")
        shell.type(b"\x10\x11")
        assert shell.wait() == 0 and shell.is_as_before()
        said = bytes(shell.said)
    session = said.split(b"corpus attach ")[1].split(b"`")[0].decode()
    listed = corpus(lxc, "sessions", NAME).stdout.decode()
    assert session in listed and "running" in listed
    with terminal(lxc, "attach", session) as shell:
        shell.type(b"echo is $word\r")
        shell.until(b"is kept\r\n")
        assert b"attached" in corpus(lxc, "attach", session).stderr
        shell.type(b"echo re''ady; busybox cat -v; exit 3\r")
        shell.until(b"ready\r\n")
        shell.type(b"\x10\x10x\r\x04")  # ctrl-p is typed when ctrl-q does not follow
        shell.until(b"^P^Px\r\n^P^Px\r\n")
        assert shell.wait() == 3
    assert corpus(lxc, "attach", session).returncode == 125


def test_detached_commands_are_ended_by_hand(lxc):
    session = corpus(lxc, "exec", "-d", NAME, *SH, "sleep 73").stdout.decode().strip()
    pid = lxc.api.session(session)["pid"]
    assert corpus(lxc, "session", "signal", session, "TERM").returncode == 0
    wait_for("it ends", lambda: lxc.api.session(session)["state"] == "ended")
    assert lxc.api.session(session)["signal"] == "TERM" and not os.path.exists(f"/proc/{pid}")
    assert corpus(lxc, "session", "end", session).returncode == 0
    wait_for("it is forgotten", lambda: lxc.api.sessions() == [])


@pytest.mark.parametrize("number, persist", [(signal.SIGKILL, False), (signal.SIGHUP, False),
                                             (signal.SIGKILL, True)])
def test_a_terminal_that_vanishes(lxc, number, persist):
    words = ["exec", "-it"] + ["--persist"] * persist + [NAME, "/bin/busybox", "sh"]
    with terminal(lxc, *words) as shell:
        shell.until(b"# ")
        session, = lxc.api.sessions()
        shell.process.send_signal(number)
        shell.process.wait(60)
        assert number == signal.SIGKILL or shell.is_as_before()
    if persist:
        wait_for("it is alone", lambda: lxc.api.session(session["id"])["clients"] == 0)
        assert os.path.exists(f"/proc/{session['pid']}")
        lxc.api.call("DELETE", f"/v1/sessions/{session['id']}")
    wait_for("it ends", lambda: not os.path.exists(f"/proc/{session['pid']}"))


def test_a_terminal_survives_a_kill_of_the_agent(lxc):
    with terminal(lxc, "exec", "-it", NAME, "/bin/busybox", "sh") as shell:
        shell.until(b"# ")
        lxc.kill9()
        shell.type(b"echo still he''re\r")
        shell.until(b"still here\r\n")
        lxc.start()
        shell.type(b"exit 4\r")
        assert shell.wait() == 4
