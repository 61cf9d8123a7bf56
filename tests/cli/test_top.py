"""corpus top: rates from two answers, a picture on a terminal, a plain table elsewhere."""
import contextlib
import fcntl
import json
import os
import pathlib
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest
from cli.conftest import DEADLINE_S
from cli.fake_agent import Answer
from cli.samples import guest_stats as guest
from cli.samples import problem
from cli.samples import node_stats as stats
from cli.test_contract import check
from cli.test_terminal import Terminal

ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


def two(*makers):
    """The answers of two moments, two seconds apart."""
    return [Answer(200, stats(s, *[make(s) for make in makers])) for s in (10, 12)]


def busy(seconds):
    return guest("busy", seconds, cpu=1.5, memory=100 << 20)


def idle(seconds):
    return guest("idle", seconds, cpu=0.01, memory=900 << 20)


def test_the_samples_are_as_described():
    check({"$ref": "#/components/schemas/Stats"}, stats(10, busy(10), guest("off", 10, state="stopped")))


# --- once ---

def test_without_a_terminal_there_is_a_table_once(corpus, agent):
    agent.answer(*two(idle, busy))
    result = corpus("top")
    assert result.returncode == 0 and "\x1b" not in result.stdout
    titles, first, second = result.stdout.splitlines()[-3:]
    assert titles.split()[:4] == ["GUEST", "STATE", "CPU", "%"]
    assert first.split()[:3] == ["busy", "running", "150.0"]
    assert second.split()[:3] == ["idle", "running", "1.0"]
    assert "100 MiB" in first and "3 GiB" in first and "500 B/s" in first and "2 KiB/s" in first
    assert [r.path for r in agent.requests] == ["/v1/stats"] * 2


@pytest.mark.parametrize("order, names", [
    ("cpu", ["busy", "idle"]), ("memory", ["idle", "busy"]), ("name", ["busy", "idle"])])
def test_the_order_can_be_asked_for(order, names, corpus, agent):
    agent.answer(*two(idle, busy))
    lines = corpus("top", "--once", "--sort", order).stdout.splitlines()
    assert [line.split()[0] for line in lines[-2:]] == names


def test_what_is_not_known_is_a_dash_and_what_matters_is_said(corpus, agent):
    agent.answer(*two(lambda s: guest("lost", s, unknown_since="2026-11-22T11:00:00.000Z"),
                      lambda s: guest("off", s, state="stopped"),
                      lambda s: guest("full", s, oom_kills=3),
                      lambda s: guest("slow", s, throttled=s)))
    rows = {line.split()[0]: line for line in corpus("top").stdout.splitlines()[-4:]}
    assert rows["lost"].split()[2] == "-" and rows["lost"].endswith("not known")
    assert rows["off"].split()[2] == "-"
    assert rows["full"].endswith("out of memory") and rows["slow"].endswith("throttled")


def test_a_guest_that_began_anew_has_no_rates_yet(corpus, agent):
    agent.answer(Answer(200, stats(10, guest("new", 10, cpu=2))),
                 Answer(200, stats(12, guest("new", 12, cpu=0.1))))
    assert corpus("top").stdout.splitlines()[-1].split()[2] == "-"


def test_programs_get_the_answer_as_it_is(corpus, agent):
    answer = stats(10, busy(10))
    agent.answer(Answer(200, answer))
    assert json.loads(corpus("top", "--json").stdout) == answer


def test_a_node_without_guests_is_shown(corpus, agent):
    agent.answer(*two())
    assert "0 guests" in corpus("top").stdout


@pytest.mark.parametrize("words, sentence", [
    (["--interval", "0.5"], "--interval"), (["--interval", "x"], "--interval"),
    (["--sort", "size"], "--sort")])
def test_what_makes_no_sense_is_refused_before_anything_is_asked(words, sentence, corpus, agent):
    result = corpus("top", *words)
    assert result.returncode == 2 and sentence in result.stderr and not agent.requests


def test_a_refusal_is_reported(corpus, agent):
    agent.answer(Answer(403, problem("denied", 403, "not for you")))
    result = corpus("top")
    assert result.returncode == 4 and "not for you" in result.stderr


# --- on a terminal ---

class Screen:
    """What a program shows on a terminal, read until something is there."""

    def __init__(self, corpus, *words, columns=120, environment=None):
        self.terminal = Terminal(columns)
        self.before = termios.tcgetattr(self.terminal.slave)
        self.text = ""
        self.process = corpus.start("top", *words, stdin=self.terminal.slave,
                                    stdout=self.terminal.slave, environment=environment)

    def frames(self):
        """Whole pictures so far, as lines without colours."""
        pictures = [part.split("\x1b[J")[0] for part in self.text.split("\x1b[H")[1:]
                    if "\x1b[J" in part]
        return [re.sub(r"\x1b\[[0-9;]*[mK]|\r", "", picture).split("\n") for picture in pictures]

    def until(self, condition):
        """The first new picture for which the condition holds."""
        seen, deadline = len(self.frames()), time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            for frame in self.frames()[max(seen - 1, 0):]:
                if condition(frame):
                    return frame
            if select.select([self.terminal.master], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self.terminal.master, 65536).decode(errors="replace")
                except OSError:
                    break
        raise AssertionError(f"never shown: {self.frames()[-1:]} {self.text[-300:]!r}")

    def press(self, keys):
        os.write(self.terminal.master, keys.encode())

    def resize(self, lines, columns):
        fcntl.ioctl(self.terminal.slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", lines, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def end(self):
        """Its exit status; the terminal must be as it was before."""
        status = self.process.wait(DEADLINE_S)
        assert termios.tcgetattr(self.terminal.slave) == self.before
        self.text += self.terminal.read()
        assert self.text.count(ENTER) == self.text.count(LEAVE)
        assert self.text.rstrip().endswith(LEAVE) and "\x1b[?25h" in self.text
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        self.terminal.close()


@pytest.fixture
def show(corpus):
    with contextlib.ExitStack() as stack:
        yield lambda *words, **options: stack.enter_context(
            contextlib.closing(Screen(corpus, *words, **options)))


def rows(frame):
    """Names of the guests shown, in their order."""
    return [line.split()[0] for line in frame[6:-2] if line.strip()]


def test_a_picture_is_drawn_sorted_and_left_behind(agent, show):
    agent.answer(*two(idle, busy), repeat=True)
    screen = show()
    frame = screen.until(lambda f: "150.0" in "".join(f))
    assert frame[0].startswith("node1  2 guests: 2 running") and "slots 2 of 8" in frame[0]
    assert "of 4 processors" in frame[1] and "4 GiB of 16 GiB" in frame[2]
    assert rows(frame) == ["busy", "idle"] and "CPU %▾" in frame[5]
    screen.press("m")
    assert "MEMORY▾" in screen.until(lambda f: rows(f) == ["idle", "busy"])[5]
    screen.press("a")
    screen.until(lambda f: rows(f) == ["busy", "idle"])
    screen.press("q")
    assert screen.end() == 0


def test_pictures_fit_the_terminal_whatever_its_size(agent, show):
    many = [lambda s, n=n: guest(f"guest{n:03}.example.org", s) for n in range(60)]
    agent.answer(*two(*many), repeat=True)
    screen = show("--sort", "name")
    frame = screen.until(lambda f: len(rows(f)) == 16)
    assert len(frame) == 24 and "1-16 of 60" in frame[-1]
    screen.resize(40, 60)
    frame = screen.until(lambda f: len(f) == 40)
    assert all(len(line) <= 60 for line in frame) and len(rows(frame)) == 32
    screen.resize(3, 20)
    frame = screen.until(lambda f: max(map(len, f)) <= 20)
    assert len(frame) == 3 and frame[1].startswith("cpu")
    screen.resize(24, 200)
    screen.until(lambda f: len(f) == 24)
    screen.press("\x1b[6~")
    assert rows(screen.until(lambda f: rows(f)[:1] == ["guest016.example.org"]))
    screen.press("\x1b[6~\x1b[6~")
    screen.press("k")
    screen.press("q")
    assert screen.end() == 0


def test_a_paused_picture_asks_nothing(agent, show):
    agent.answer(*two(busy), repeat=True)
    screen = show("--interval", "1")
    screen.until(lambda f: "150.0" in "".join(f))
    screen.press("p")
    screen.until(lambda f: "paused" in f[-1])
    asked = len(agent.requests)
    with pytest.raises(subprocess.TimeoutExpired):
        screen.process.wait(1.5)
    assert len(agent.requests) <= asked + 1
    screen.press("p")
    screen.until(lambda f: "paused" not in f[-1])
    screen.press("q")
    assert screen.end() == 0


@pytest.mark.parametrize("number, status", [
    (signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, -signal.SIGHUP),
    (signal.SIGQUIT, -signal.SIGQUIT), (signal.SIGABRT, -signal.SIGABRT)])
def test_the_terminal_is_given_back_at_any_signal(number, status, agent, show):
    agent.answer(*two(busy), repeat=True)
    screen = show()
    screen.until(lambda f: rows(f) == ["busy"])
    screen.process.send_signal(number)
    assert screen.end() == status


def test_a_stopped_picture_gives_the_terminal_back_meanwhile(agent, show):
    agent.answer(*two(busy), repeat=True)
    screen = show()
    screen.until(lambda f: rows(f) == ["busy"])
    screen.process.send_signal(signal.SIGTSTP)
    deadline = time.monotonic() + DEADLINE_S
    status = pathlib.Path(f"/proc/{screen.process.pid}/status")
    while "T (stopped)" not in status.read_text():
        assert time.monotonic() < deadline
    assert termios.tcgetattr(screen.terminal.slave) == screen.before
    screen.process.send_signal(signal.SIGCONT)
    screen.until(lambda f: rows(f) == ["busy"])
    screen.press("q")
    assert screen.end() == 0


def test_an_agent_that_goes_away_is_waited_for(agent, show):
    agent.answer(*two(busy), Answer(503, problem("unavailable", 503, "starting"),
                                    headers={"Retry-After": "1"}),
                 Answer(200, stats(14, busy(14))), repeat=True)
    screen = show("--interval", "1")
    screen.until(lambda f: "starting" in f[-1])
    assert rows(screen.until(lambda f: "starting" not in f[-1])) == ["busy"]
    screen.press("q")
    assert screen.end() == 0


@pytest.mark.parametrize("environment, coloured", [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_for_those_who_want_them(environment, coloured, agent, show):
    agent.answer(*two(busy), repeat=True)
    screen = show(environment=environment)
    screen.until(lambda f: "150.0" in "".join(f))
    screen.press("q")
    assert screen.end() == 0
    assert ("\x1b[32m" in screen.text) == coloured


def test_control_characters_never_reach_the_terminal(agent, show):
    agent.answer(*two(lambda s: guest("a\x1b]0;z\x07", s)), repeat=True)
    screen = show()
    screen.until(lambda f: "0;z" in "".join(f))
    screen.press("q")
    screen.end()
    assert "\x1b]0" not in screen.text and "\x07" not in screen.text
