"""What only a terminal gets: progress, colours, questions; and what it must never get."""
import contextlib
import fcntl
import os
import pty
import select
import struct
import termios
import threading

import pytest
from cli import samples
from cli.conftest import DEADLINE_S
from cli.fake_agent import Answer
from cli.samples import operation, problem
from cli.test_connection import wait_for_requests

CLEAR = "\r\x1b[K"


class Terminal:
    """A pseudo-terminal of so many columns; what a program writes to it is read until its end."""

    def __init__(self, columns=80):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def read(self):
        os.close(self.slave)
        self.slave = None
        parts = []
        with contextlib.suppress(OSError):  # EIO is the end
            while select.select([self.master], [], [], DEADLINE_S)[0]:
                part = os.read(self.master, 65536)
                if not part:
                    break
                parts.append(part)
        return b"".join(parts).decode()

    def close(self):
        for fd in (self.master, self.slave):
            if fd is not None:
                os.close(fd)


@pytest.fixture
def terminal():
    with contextlib.closing(Terminal()) as made:
        yield made


def test_progress_names_the_step_and_goes_away(corpus, agent, terminal):
    agent.answer(Answer(202, operation(state="running")),
                 Answer(200, operation(state="running", step="network", progress=0.6)),
                 Answer(200, operation(result=samples.GUEST)))
    process = corpus.start("create", "web", "-i", "busybox", stderr=terminal.slave)
    shown = terminal.read()
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert "web: guest.create: volume  40 %" in shown
    assert "web: guest.create: network  60 %" in shown
    assert shown.endswith(CLEAR) and CLEAR not in out
    assert all("wait=1" in request.path for request in agent.requests)


def test_progress_tells_what_was_fetched(corpus, agent, terminal):
    moving = {"done": 3 << 20, "total": 12 << 20, "what": "layer 1 of 2"}
    agent.answer(Answer(202, operation("image.pull", "running", transfer=moving)),
                 Answer(200, operation("image.pull", "running",
                                       transfer=moving | {"total": None, "what": "layer 2 of 2"})),
                 Answer(200, operation("image.pull")))
    process = corpus.start("image", "pull", "debian:12", stderr=terminal.slave)
    shown = terminal.read()
    process.communicate(timeout=DEADLINE_S)
    assert "debian:12: layer 1 of 2, 3 MiB  25 %" in shown
    assert f"debian:12: layer 2 of 2, 3 MiB{CLEAR}" in shown


def test_progress_is_cut_to_the_width(corpus, agent):
    with contextlib.closing(Terminal(columns=20)) as terminal:
        agent.answer(Answer(202, operation(state="running")), Answer(200, operation()))
        process = corpus.start("create", "wêb" + "界" * 30, "-i", "busybox", stderr=terminal.slave)
        shown = terminal.read()
        process.communicate(timeout=DEADLINE_S)
    lines = [part for part in shown.split(CLEAR) if part]
    widths = [sum(2 if c == "界" else 1 for c in line) for line in lines]
    assert lines and max(widths) < 20


def test_no_progress_when_quiet_or_elsewhere(corpus, agent, terminal):
    agent.answer(Answer(202, operation(state="running")), Answer(200, operation()))
    process = corpus.start("-q", "create", "web", "-i", "busybox", stderr=terminal.slave)
    assert terminal.read() == ""
    process.communicate(timeout=DEADLINE_S)


def test_an_error_stands_alone_behind_progress(corpus, agent, terminal):
    agent.answer(Answer(202, operation(state="running")), Answer(200, operation(state="failed")))
    process = corpus.start("create", "web", "-i", "busybox", stderr=terminal.slave)
    shown = terminal.read()
    process.communicate(timeout=DEADLINE_S)
    assert shown.split(CLEAR)[-1].startswith("corpus: create: the pool is full")


@pytest.mark.parametrize("environment, coloured", [
    ({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)])
def test_states_are_coloured_on_a_terminal_that_wants_it(
        environment, coloured, corpus, agent, terminal):
    agent.answer(Answer(200, {"guests": [samples.GUEST]}))
    process = corpus.start("list", stdout=terminal.slave, environment=environment)
    shown = terminal.read()
    process.communicate(timeout=DEADLINE_S)
    assert ("\x1b[32mrunning\x1b[0m" in shown) == coloured
    assert ("\x1b" in shown) == coloured


@pytest.mark.parametrize("answer, destroyed", [("yes\n", True), ("no\n", False), ("y\n", False),
                                               ("\x04", False)])
def test_destroy_asks_on_a_terminal(answer, destroyed, corpus, agent, terminal):
    agent.answer(*[Answer(200, operation("guest.destroy"))] * destroyed)
    process = corpus.start("destroy", "web", stdin=terminal.slave)
    os.write(terminal.master, answer.encode())
    out, err = process.communicate(timeout=DEADLINE_S)
    assert "Destroy web and all that is in it?" in err
    assert (process.returncode == 0) == destroyed == (out == "web: destroyed\n")
    assert len(agent.requests) == destroyed


EVIL = "a\x1b]0;owned\x07\x9b31m\u202eb\tc\nd\x7f"
SAFE = r"a\x1b]0;owned\x07\u{9b}31m\u{202e}b\tc\nd\x7f"
SAFE_MESSAGE = r"a ]0;owned \u{9b}31m\u{202e}b c d "  # errors have lost what is below a blank


@pytest.mark.parametrize("words, answer", [
    (["list"], Answer(200, {"guests": [samples.GUEST | {"image": EVIL}]})),
    (["show", "web"], Answer(200, samples.GUEST | {"labels": {"note": EVIL}})),
    (["show", "web"], Answer(404, problem("not_found", 404, EVIL))),
    (["node"], Answer(200, samples.NODE | {"kernel": EVIL})),
    (["slots"], Answer(200, samples.SLOTS | {"mode": EVIL})),
    (["ports"], Answer(200, {"ports": [samples.PORT | {"purpose": EVIL}]})),
    (["image", "list"], Answer(200, {"images": [samples.IMAGE | {"name": EVIL}]})),
    (["operations"], Answer(200, {"operations": [operation() | {"target": EVIL}]})),
    (["events"], Answer(200, samples.sse(samples.EVENTS[0] | {"message": EVIL}))),
    (["start", "web"], Answer(202, operation("guest.start", "failed") |
                              {"error": samples.ERROR | {"detail": EVIL}})),
    (["publish", "web", "80"], Answer(200, operation(
        "guest.publish", result=samples.PORT | {"name": EVIL}))),
    (["set", "web", "pids=1", "-n"], Answer(200, {
        "dry_run": True, "changed": True, "verb": "guest.update", "target": "web",
        "steps": [EVIL]})),
])
def test_control_characters_never_reach_a_terminal(words, answer, corpus, agent):
    agent.answer(answer, repeat=True)
    result = corpus(*words)
    assert SAFE in result.stdout or SAFE_MESSAGE in result.stderr
    assert not any(ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160 or c == "\u202e"
                   for c in result.stdout + result.stderr)


def test_names_on_the_command_line_are_made_harmless_too(corpus, agent):
    agent.answer(Answer(200, operation("guest.start")))
    assert corpus("start", EVIL).stdout == f"{SAFE}: started\n"


def test_wide_characters_do_not_break_columns(corpus, agent):
    guests = [samples.GUEST | {"image": image} for image in ("界界", "é", "ab")]
    agent.answer(Answer(200, {"guests": guests}))
    lines = corpus("list").stdout.splitlines()
    columns = [sum(2 if c == "界" else 1 for c in line[:line.index("1    5 GiB")])
               for line in lines[1:]]
    assert len(set(columns)) == 1


def test_progress_of_an_upload_tells_what_was_sent(corpus, agent, terminal, tmp_path):
    archive = tmp_path / "image.tar"
    archive.write_bytes(b"x" * 3_000_000)
    hold = threading.Event()
    agent.answer(Answer(200, operation("image.import", result=samples.IMAGE), hold=hold))
    process = corpus.start("image", "import", "x", str(archive), stderr=terminal.slave)
    wait_for_requests(agent, 1)
    threading.Timer(1.5, hold.set).start()
    shown = terminal.read()
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0 and "x: sent " in shown
