"""Fixtures for tests of the command line: a scripted agent and the program itself."""
import os
import pathlib
import subprocess

import pytest
from cli.fake_agent import FakeAgent

TOP = pathlib.Path(__file__).parents[2]
PROGRAM = TOP / os.environ.get("CORPUS_BUILD", "build/test") / "bin/corpus"
DEADLINE_S = 60


class Corpus:
    """Runs the program against the agent. Nothing of the caller's surroundings gets in."""

    def __init__(self, socket, libexec):
        self.environment = {"PATH": os.environ["PATH"], "CORPUS_SOCKET": str(socket),
                            "CORPUS_LIBEXEC": str(libexec), "TZ": "UTC", "TERM": "xterm"}

    def start(self, *words, environment=None, **options):
        return subprocess.Popen([str(PROGRAM), *words], text=True, **({
            "env": self.environment | (environment or {}), "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options))

    def __call__(self, *words, stdin="", environment=None):
        return subprocess.run([str(PROGRAM), *words], text=True, input=stdin, check=False,
                              capture_output=True, timeout=DEADLINE_S,
                              env=self.environment | (environment or {}))


@pytest.fixture
def agent(tmp_path):
    fake = FakeAgent(tmp_path / "agent.sock")
    fake.start()
    try:
        yield fake
        assert fake.unexpected == 0, [str(request) for request in fake.requests]
    finally:
        fake.stop()


@pytest.fixture
def corpus(agent, tmp_path):
    return Corpus(agent.path, tmp_path / "libexec")
