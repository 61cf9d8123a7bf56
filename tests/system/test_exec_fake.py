"""Sessions with the fake driver: what is between a client and a command, without containers."""
import os
import pathlib
import signal
import time

import pytest
from harness.api import Problem
from harness.shell import wait_for
from harness.stream import SIGNAL, STDIN_EOF, Refused

NAME = "exec.example.org"


@pytest.fixture(scope="module", autouse=True)
def guest(fake):
    fake.api.create(NAME, driver="fake")
    yield
    fake.api.destroy(NAME)
    wait_for("no session is left", lambda: not fake.holders())
    assert not list((fake.dir / "run/sessions").iterdir())


def await_state(node, id, state, seconds=60):
    def look():
        return node.api.session(id)["state"] == state
    wait_for(f"session {id} is {state}", look, seconds)
    return node.api.session(id)


def gone(node, id):
    return node.api.send("GET", f"/v1/sessions/{id}").status == 404


def test_a_command_is_run_to_its_end(fake):
    said = fake.api.exec(NAME, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (said["status"], said["signal"], said["stdout"], said["stderr"]) == \
        (3, None, "out\n", "err\n")
    assert not said["truncated"] and not said["timed_out"] and said["base64"] == []
    assert fake.api.exec(NAME, "sh", "-c", "kill -9 $$")["signal"] == "KILL"
    assert fake.api.exec(NAME, "cat", input="typed ä\n")["stdout"] == "typed ä\n"
    assert fake.api.exec(NAME, "sh", "-c", "echo $A; pwd", env={"A": "b c"}, cwd="/etc")[
        "stdout"] == "b c\n/etc\n"
    binary = fake.api.exec(NAME, "printf", "\\377\\000")
    assert (binary["stdout"], binary["base64"]) == ("/wA=", ["stdout"])


def test_much_input_and_output_of_a_waiting_request_is_bounded(fake):
    text = "0123456789abcdef" * 60000
    assert fake.api.exec(NAME, "cat", input=text)["stdout"] == text
    said = fake.api.exec(NAME, "sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x")
    assert said["truncated"] and said["stdout"] == "x" * (1 << 20) and said["status"] == 0


def test_a_command_that_takes_too_long_is_killed(fake):
    began = time.monotonic()
    said = fake.api.exec(NAME, "sh", "-c", "echo begun; sleep 60", timeout="1s")
    assert said["timed_out"] and said["signal"] == "KILL" and said["stdout"] == "begun\n"
    assert time.monotonic() - began < 50


@pytest.mark.parametrize("body, field", [
    ({}, "command"), ({"command": []}, "command"), ({"command": "ls"}, "command"),
    ({"command": [""]}, "command"), ({"command": ["ls", 1]}, "command[1]"),
    ({"command": ["x" * 40000]}, "command"), ({"command": ["ls"], "env": {"A=": "b"}}, "env.A="),
    ({"command": ["ls"], "env": {"A": 1}}, "env.A"), ({"command": ["ls"], "cwd": "etc"}, "cwd"),
    ({"command": ["ls"], "cwd": "/no/such"}, "cwd"),
    ({"command": ["ls"], "terminal": {"rows": 0}}, "terminal.rows"),
    ({"command": ["ls"], "timeout": "soon"}, "timeout"), ({"command": ["ls"], "tty": True}, "tty"),
    ({"command": ["ls"], "detach": True, "input": "x"}, "input"), ({"command": ["ls"], "user": ""},
                                                                   "user")])
def test_bad_requests_name_the_field_and_leave_nothing(fake, body, field):
    with pytest.raises(Problem) as caught:
        fake.api.call("POST", f"/v1/guests/{NAME}/exec", body)
    assert (caught.value.code, caught.value.field) == ("invalid", field)
    wait_for("nothing is left", lambda: not fake.holders())


def test_what_is_not_there_is_told(fake):
    with pytest.raises(Problem) as caught:
        fake.api.exec(NAME, "no-such-command")
    assert (caught.value.status, caught.value.field) == (404, "command")
    for path in ("/v1/sessions/nope", "/v1/sessions?guest=no.such.guest"):
        assert fake.api.send("GET", path).status == 404
    with pytest.raises(Refused) as refused:
        fake.api.attach("nope")
    assert refused.value.status == 404
    answer = fake.api.send("GET", f"/v1/guests/{NAME}/console")
    assert answer.status == 400 and "corpus-stream/1" in answer.json["detail"]
    wait_for("nothing is left", lambda: not fake.holders())


def test_a_guest_that_does_not_run_runs_no_commands(fake):
    fake.api.create("rest.example.org", driver="fake", start=False)
    with pytest.raises(Problem) as caught:
        fake.api.exec("rest.example.org", "true")
    assert caught.value.code == "illegal_state"
    fake.api.destroy("rest.example.org")


def test_a_stream_carries_all_three_ways_and_the_end(fake):
    with fake.api.exec_stream(NAME, "sh", "-c", "echo on >&2; cat; exit 7", stdin=True) as stream:
        stream.until(lambda s: s.err == b"on\n")
        assert stream.notices[0] == {"session": stream.session, "position": 0, "dropped": 0}
        stream.type(b"one\n")
        stream.until_out(b"one\n")
        stream.type(b"two\n")
        stream.send(STDIN_EOF)
        assert stream.to_end() == {"status": 7}
        assert stream.out == b"one\ntwo\n"
    wait_for("it is gone", lambda: gone(fake, stream.session))


def test_what_is_sent_with_the_request_is_typed(fake):
    early = b"\x01\0\0\0\5early\x02\0\0\0\0"
    with fake.api.exec_stream(NAME, "cat", stdin=True, early=early) as stream:
        assert stream.to_end() == {"status": 0} and stream.out == b"early"


def test_a_terminal_has_a_size_that_changes(fake):
    script = "trap 'stty size' WINCH; tty; stty size; while :; do read l; echo \"[$l]\"; done"
    with fake.api.exec_stream(NAME, "bash", "-c", script, stdin=True,
                              terminal={"rows": 33, "columns": 99}) as stream:
        stream.until_out(b"33 99\r\n")
        assert b"/dev/pts/" in stream.out
        stream.resize(44, 111)
        stream.type(b"\n")  # bash runs the trap behind the read
        stream.until_out(b"44 111\r\n")
        stream.type(b"hello\n")
        stream.until_out(b"[hello]\r\n")
        stream.type(b"\x03")
        assert stream.to_end() == {"signal": "INT"}


def test_end_of_input_on_a_terminal_is_its_end_of_file(fake):
    with fake.api.exec_stream(NAME, "cat", stdin=True, terminal={}) as stream:
        stream.type(b"word\n")
        stream.until_out(b"word\r\nword\r\n")
        stream.send(STDIN_EOF)
        assert stream.to_end() == {"status": 0}


def test_signals_reach_the_commands_group(fake):
    with fake.api.exec_stream(NAME, "sh", "-c", "echo up; sleep 60; echo over", stdin=True) as stream:
        stream.until_out(b"up\n")
        stream.send(SIGNAL, b"TERM")
        assert stream.to_end() == {"signal": "TERM"}
    with fake.api.exec_stream(NAME, "sh", "-c", "trap 'exit 5' USR1; echo up; while :; do sleep 0.01; "
                              "done") as stream:
        stream.until_out(b"up\n")
        path = f"/v1/sessions/{stream.session}/signal"
        assert fake.api.send("POST", path, {"signal": "NOPE"}).json["field"] == "signal"
        assert fake.api.call("POST", path, {"signal": "SIGUSR1"}).status == 200
        assert stream.to_end() == {"status": 5}


def test_a_session_is_left_and_come_back_to(fake):
    with fake.api.exec_stream(NAME, "sh", "-c", "echo first; read l; echo \"got $l\"",
                              stdin=True) as stream:
        stream.until_out(b"first\n")
        stream.detach()
    shown = fake.api.session(stream.session)
    assert (shown["state"], shown["clients"], shown["guest"]) == ("running", 0, NAME)
    assert shown["command"][0] == "sh" and os.path.exists(f"/proc/{shown['pid']}")
    with fake.api.attach(stream.session) as again:
        again.until_out(b"first\n")
        with pytest.raises(Refused) as refused:
            fake.api.attach(stream.session)
        assert refused.value.status == 409
        with fake.api.attach(stream.session, input="false", after=3) as viewer:
            viewer.until_out(b"st\n")
            again.type(b"me\n")
            assert again.to_end() == viewer.to_end() == {"status": 0}
            assert (again.out, viewer.out) == (b"first\ngot me\n", b"st\ngot me\n")
    wait_for("it is gone", lambda: gone(fake, stream.session))


def test_a_command_without_anybody_attached_is_kept_until_it_is_read(fake):
    with fake.api.events() as events:
        answer = fake.api.call("POST", f"/v1/guests/{NAME}/exec",
                               {"command": ["sh", "-c", "echo kept; exit 4"], "detach": True})
        id = answer.json["id"]
        assert answer.status == 201 and answer.headers["location"] == f"/v1/sessions/{id}"
        told = events.until(lambda e: e["type"] == "session.ended" and e["session"] == id)
        assert "session.started" in [e["type"] for e in told if e.get("session") == id]
    shown = await_state(fake, id, "ended")
    assert (shown["status"], shown["output"]) == (4, 5)
    with fake.api.attach(id) as stream:
        assert stream.to_end() == {"status": 4} and stream.out == b"kept\n"
    wait_for("it is gone", lambda: gone(fake, id))


def test_output_that_nobody_reads_is_bounded_and_counted(fake):
    answer = fake.api.call("POST", f"/v1/guests/{NAME}/exec", {
        "command": ["sh", "-c", "head -c 10000000 /dev/zero; echo end"], "detach": True})
    shown = await_state(fake, answer.json["id"], "ended")
    assert shown["output"] == 10000004 and shown["dropped"] > 9000000
    with fake.api.attach(shown["id"]) as stream:
        stream.to_end()
        assert stream.notices[0]["dropped"] == shown["dropped"] == 10000004 - len(stream.out)
        assert stream.out.endswith(b"end\n") and len(stream.out) <= 256 * 1024


def rss(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


def test_a_slow_reader_loses_nothing_and_costs_nothing(fake):
    with fake.api.exec_stream(NAME, "sh", "-c", "head -c 100000000 /dev/zero; echo end") as stream:
        stream.until_out(b"\0")
        holder, = fake.holders(stream.session)
        wait_for("the command waits", lambda: "pipe" in wchan(fake.api.session(stream.session)))
        assert rss(holder) < 4 << 20
        stream.to_end()
        assert len(stream.out) == 100000004 and stream.out.endswith(b"\0end\n")
        assert stream.exit == {"status": 0} and not [n for n in stream.notices if "overrun" in n]


def test_what_is_written_before_the_client_is_there_is_not_lost(fake):
    for _ in range(20):
        with fake.api.exec_stream(NAME, "head", "-c", "2000000", "/dev/zero", persist=True) as stream:
            assert stream.to_end() == {"status": 0} and len(stream.out) == 2000000
        said = fake.api.exec(NAME, "sh", "-c", "head -c 700000 /dev/zero | tr '\\0' x")
        assert said["stdout"] == "x" * 700000


def wchan(shown):
    """What the children of a session's command sleep in."""
    found = []
    for path in pathlib.Path(f"/proc/{shown['pid']}/task").glob("*/children"):
        for child in path.read_text().split():
            found.append(pathlib.Path(f"/proc/{child}/wchan").read_text())
    return " ".join(found)


def test_a_viewer_that_is_too_slow_is_told_what_it_missed(fake):
    with fake.api.exec_stream(NAME, "sh", "-c", "read l; head -c 5000000 /dev/zero; echo end; read l",
                              stdin=True) as stream, \
            fake.api.attach(stream.session, input="false") as viewer:
        stream.type(b"go\n")
        stream.until_out(b"end\n")
        viewer.until_out(b"end\n")
        missed = [n for n in viewer.notices if n.get("overrun")]
        assert missed and len(viewer.out) < 5000004
        stream.type(b"\n")
        assert stream.to_end() == {"status": 0}


def test_a_client_that_vanishes_hangs_up_unless_told_otherwise(fake):
    stream = fake.api.exec_stream(NAME, "sleep", "60")
    pid = fake.api.session(stream.session)["pid"]
    stream.close()
    wait_for("the command ends", lambda: not os.path.exists(f"/proc/{pid}"))
    shown = await_state(fake, stream.session, "ended")
    assert shown["signal"] == "HUP"
    stream = fake.api.exec_stream(NAME, "sleep", "60", stdin=True, terminal={})
    pid = fake.api.session(stream.session)["pid"]
    stream.close()
    wait_for("the command ends", lambda: not os.path.exists(f"/proc/{pid}"))
    await_state(fake, stream.session, "ended")
    stream = fake.api.exec_stream(NAME, "sleep", "60", persist=True)
    stream.close()
    wait_for("it is seen", lambda: fake.api.session(stream.session)["clients"] == 0)
    assert fake.api.session(stream.session)["state"] == "running"
    fake.api.call("DELETE", f"/v1/sessions/{stream.session}")
    shown = await_state(fake, stream.session, "ended")
    assert shown["signal"] == "HUP"
    for session in fake.api.sessions():
        fake.api.call("DELETE", f"/v1/sessions/{session['id']}")
    wait_for("all are forgotten", lambda: fake.api.sessions() == [])


def test_a_request_that_nobody_waits_for_hangs_up(fake):
    before = {s["id"] for s in fake.api.sessions()}
    with fake.api.unanswered("POST", f"/v1/guests/{NAME}/exec", {"command": ["sleep", "61"]}):
        mine, = wait_for("its session", lambda: [
            s for s in fake.api.sessions() if s["id"] not in before])
    assert await_state(fake, mine["id"], "ended")["signal"] == "HUP"
    fake.api.call("DELETE", f"/v1/sessions/{mine['id']}")


def test_what_ignores_the_hang_up_is_killed_when_asked_again(fake):
    with fake.api.exec_stream(NAME, "sh", "-c", "trap '' HUP TERM; echo up; while :; do sleep 0.1; "
                              "done") as stream:
        stream.until_out(b"up\n")
        fake.api.call("DELETE", f"/v1/sessions/{stream.session}")
        await_state(fake, stream.session, "ending")
        fake.api.call("DELETE", f"/v1/sessions/{stream.session}")
        assert stream.to_end() == {"signal": "KILL"}


def test_frames_that_are_none_end_the_client_alone(fake):
    with fake.api.exec_stream(NAME, "cat", stdin=True, persist=True) as stream:
        stream.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert stream.to_end() is None
        assert "no frame" in stream.notices[-1]["error"]
    with fake.api.attach(stream.session) as again:
        again.type(b"still there")
        again.until_out(b"still there")
        again.send(STDIN_EOF)
        assert again.to_end() == {"status": 0}


@pytest.mark.parametrize("terminal", [None, {}])
def test_sessions_survive_a_kill_and_a_restart_of_the_agent(fake, terminal):
    with fake.api.exec_stream(NAME, "sh", "-c", "while read l; do echo \"<$l>\"; done", stdin=True,
                              terminal=terminal) as stream:
        stream.type(b"one\n")
        stream.until_out(b"<one>")
        for end in (fake.kill9, fake.stop):
            end()
            stream.type(b"away\n")
            stream.until_out(b"<away>")
            stream.out.clear()
            fake.start()
            shown, = fake.api.sessions()
            assert (shown["id"], shown["state"], shown["clients"]) == (stream.session, "running", 1)
            stream.type(b"back\n")
            stream.until_out(b"<back>")
        stream.send(STDIN_EOF)
        assert stream.to_end() == {"status": 0}
    wait_for("it is gone", lambda: gone(fake, stream.session))


def test_a_session_that_stands_still_over_the_agents_start_is_back_when_it_goes_on(fake):
    with fake.api.exec_stream(NAME, "cat", stdin=True) as stream:
        stream.until(lambda s: s.notices)  # the session has it
        holder, = fake.holders(stream.session)
        fake.kill9()
        os.kill(holder, signal.SIGSTOP)
        try:
            fake.start()
            assert fake.api.sessions() == [] and gone(fake, stream.session)
        finally:
            os.kill(holder, signal.SIGCONT)
        wait_for("the session is back", lambda: not gone(fake, stream.session))
        shown = fake.api.session(stream.session)
        assert (shown["state"], shown["guest"], shown["kind"], shown["clients"]) == \
            ("running", NAME, "exec", 1)
        stream.send(STDIN_EOF)
        assert stream.to_end() == {"status": 0}
    wait_for("it is gone", lambda: gone(fake, stream.session))


def test_an_end_while_the_agent_is_away_is_told_once_when_it_is_back(fake):
    id = fake.api.call("POST", f"/v1/guests/{NAME}/exec",
                       {"command": ["sh", "-c", "read l; sleep 0.3; exit 9"],
                        "detach": True, "stdin": True}).json["id"]
    with fake.api.attach(id) as stream:
        stream.until(lambda s: s.notices)  # the session has it
        fake.kill9()
        stream.send(STDIN_EOF)
        stream.detach()
    fake.start()
    assert await_state(fake, id, "ended")["status"] == 9
    fake.restart()
    with fake.api.events(after=0) as events:
        told = events.until(lambda e: e["type"] == "session.ended" and e["session"] == id)
        assert [e["status"] for e in told if e.get("session") == id and "status" in e] == [9]
    fake.api.call("DELETE", f"/v1/sessions/{id}")


def test_a_session_whose_process_is_killed_is_told_as_lost(fake):
    with fake.api.events() as events, fake.api.exec_stream(NAME, "sleep", "62") as stream:
        holder, = fake.holders(stream.session)
        os.kill(holder, signal.SIGKILL)
        assert stream.to_end() is None
        told = events.until(lambda e: e["type"] == "session.ended")
        assert told[-1]["lost"] is True
    assert gone(fake, stream.session)
    assert not (fake.dir / "run/sessions" / stream.session).exists()
    with fake.api.exec_stream(NAME, "sleep", "62") as stream:
        stream.until(lambda s: s.notices)  # the session has it
        fake.kill9()
        holder, = fake.holders(stream.session)
        os.kill(holder, signal.SIGKILL)
        fake.start()
        assert gone(fake, stream.session)
        assert not (fake.dir / "run/sessions" / stream.session).exists()


def waiter_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def test_an_end_that_nobody_saw_is_told_as_such(fake):
    with fake.api.exec_stream(NAME, "sleep", "63") as stream:
        os.kill(waiter_of(fake.api.session(stream.session)["pid"]), signal.SIGKILL)
        assert stream.to_end() == {"lost": True}


def test_the_end_of_the_driver_touches_no_session(fake):
    with fake.api.exec_stream(NAME, "cat", stdin=True) as stream:
        driver = fake.driver_pid("fake")
        os.kill(driver, signal.SIGKILL)
        wait_for("another driver", lambda: fake.driver_pid("fake") not in (0, driver))
        stream.type(b"still")
        stream.until_out(b"still")
        stream.send(STDIN_EOF)
        assert stream.to_end() == {"status": 0}


def test_a_hundred_sessions_side_by_side_and_the_bound(fake):
    streams = [fake.api.exec_stream(NAME, "cat", stdin=True) for _ in range(100)]
    try:
        for i, stream in enumerate(streams):
            stream.type(b"%d\n" % i)
        for i, stream in enumerate(streams):
            stream.until_out(b"%d\n" % i)
        assert len(fake.api.sessions(guest=NAME)) == 100
        memory = sum(rss(pid) for pid in fake.holders()) / 100
        assert memory < 3 << 20, f"{memory} bytes each"
        for stream in streams:
            stream.send(STDIN_EOF)
        assert all(stream.to_end() == {"status": 0} for stream in streams)
    finally:
        for stream in streams:
            stream.close()
    wait_for("no session is left", lambda: fake.api.sessions() == [])


def test_the_agent_that_dies_while_a_session_starts_leaves_none(fake):
    fake.restart("sessions.start.replied=kill@1")
    mark = fake.dir / "was-here"
    with pytest.raises((OSError, AssertionError)):
        fake.api.exec_stream(NAME, "sh", "-c", f"echo $$ >{mark}; exec cat", stdin=True)
    fake.died()
    fake.start()
    wait_for("no session is left", lambda: fake.api.sessions() == [] and not fake.holders())
    wait_for("the command ends", lambda: not os.path.exists(f"/proc/{mark.read_text().strip()}"))
