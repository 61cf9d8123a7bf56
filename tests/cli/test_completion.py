"""Completion: what the program offers for the last word, and that the shells use it."""
import pathlib
import subprocess

import pytest
from cli import samples
from cli.conftest import DEADLINE_S, PROGRAM
from cli.fake_agent import Answer

FOLDER = pathlib.Path(__file__).parents[2] / "dist/completions"
GUESTS = {"guests": [{"name": "db"}, {"name": "web1"}, {"name": "web2"}, {"name": "odd one"}]}


def offered(corpus, *words):
    result = corpus("__complete", "--", *words)
    assert result.returncode == 0 and result.stderr == ""
    return result.stdout.split("\n")[:-1]


@pytest.mark.parametrize("words, expected", [
    (["sto"], ["stop", "storage"]),
    (["image", ""], ["list", "show", "import", "build", "pull", "delete"]),
    (["image", "b"], ["build"]),
    (["im"], ["image"]),
    (["help", "op"], ["operations", "operation"]),
    (["node", "--mode", ""], ["active", "drain", "maintenance"]),
    (["node", "-m", "d"], ["drain"]),
    (["node", ""], ["active", "drain", "maintenance"]),
    (["list", "--env", "p"], ["preprod", "prod"]),
    (["list", "--state", "st"], ["stopped", "starting", "stopping"]),
    (["stop", "--gr"], ["--grace"]),
    (["--qu"], ["--quiet"]),
    (["set", "web", "m"], ["memory="]),
    (["set", "web", "memory=1", "label"], ["label."]),
    (["create", "x", "--size", ""], []),
    (["apply", "-f", "x"], ["__files__"]),
    (["--socket", "x"], ["__files__"]),
    (["image", "import", "x", ""], ["__files__"]),
    (["list", "-o", ""], ["table", "json", "yaml"]),
    (["list", "--columns", "name,st"], ["name,state", "name,storage"]),
    (["images", "--sort", "-s"], ["-size", "-sha256"]),
    (["doc"], ["doctor"]),
    (["slots", ""], []),
    (["frobnicate", ""], []),
])
def test_tables_are_offered(words, expected, corpus):
    assert offered(corpus, *words) == expected


@pytest.mark.parametrize("words, path, answer, expected", [
    (["show", "w"], "/v1/guests?fields=name", GUESTS, ["web1", "web2"]),
    (["edit", "d"], "/v1/guests?fields=name", GUESTS, ["db"]),
    (["events", "-g", "d"], "/v1/guests?fields=name", GUESTS, ["db"]),
    (["stop", "web1", ""], "/v1/guests?fields=name", GUESTS, ["db", "web1", "web2"]),
    (["switch", "40001", "--to", "d"], "/v1/guests?fields=name", GUESTS, ["db"]),
    (["create", "x", "--image", ""], "/v1/images", {"images": [samples.IMAGE]}, ["busybox"]),
    (["create", "x", "-d", ""], "/v1/node", samples.NODE, ["lxc", "qemu", "docker", "kvm"]),
    (["unpublish", "web1", "4"], "/v1/ports", samples.PORTS, ["40001", "40002/udp"]),
    (["restore", "web1", ""], "/v1/guests/web1/snapshots", {"snapshots": samples.SNAPSHOTS},
     ["20261122t120000z", "before"]),
    (["snapshot", "delete", "web1", "x", "b"], "/v1/guests/web1/snapshots",
     {"snapshots": samples.SNAPSHOTS}, ["before"]),
    (["clone", "web1", "web2", "--snapshot", "b"], "/v1/guests/web1/snapshots",
     {"snapshots": samples.SNAPSHOTS}, ["before"]),
    (["cancel", ""], "/v1/operations?limit=50", {"operations": [samples.OPERATION]},
     ["00000000000000aa"]),
])
def test_names_are_asked_of_the_agent(words, path, answer, expected, corpus, agent):
    agent.answer(Answer(200, answer))
    assert offered(corpus, *words) == expected
    assert [request.path for request in agent.requests] == [path]


def test_names_are_missing_where_no_agent_answers(corpus, agent):
    agent.stop()
    assert offered(corpus, "show", "") == []


def test_the_socket_on_the_command_line_is_asked(corpus, agent):
    agent.answer(Answer(200, GUESTS))
    corpus.environment["CORPUS_SOCKET"] = "/nonexistent"
    assert offered(corpus, "--socket", str(agent.path), "show", "d") == ["db"]


def test_every_command_is_offered(corpus):
    help_lines = corpus("help").stdout.splitlines()
    names = {line.split()[0] for line in help_lines if line[:2] == "  " and line[2:3].isalpha()}
    assert names and names <= set(offered(corpus, ""))


def shell(corpus, *command):
    environment = corpus.environment | {
        "PATH": f"{PROGRAM.parent}:{corpus.environment['PATH']}", "HOME": "/nonexistent"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False,
                          timeout=DEADLINE_S)


def bash_replies(corpus, *words):
    script = (f"source {FOLDER}/corpus.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _corpus;"
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    result = shell(corpus, "bash", "--norc", "-c", script, "bash", *words)
    assert result.stderr == ""
    return result.stdout.split()


def test_bash_gets_names(corpus, agent):
    agent.answer(Answer(200, GUESTS))
    assert bash_replies(corpus, "corpus", "show", "w") == ["web1", "web2"]


def test_bash_completes_files(corpus, agent, tmp_path):
    (tmp_path / "guests.json").touch()
    assert bash_replies(corpus, "corpus", "apply", "-f", f"{tmp_path}/gu") == [
        f"{tmp_path}/guests.json"]


def test_zsh_gets_names(corpus, agent):
    agent.answer(Answer(200, GUESTS))
    script = (f"compadd() {{ print -l ${{(P)argv[-1]}} }}; _files() {{ print files }};"
              f"words=(\"$@\"); CURRENT=$#; source {FOLDER}/_corpus")
    result = shell(corpus, "zsh", "-f", "-c", script, "zsh", "corpus", "show", "w")
    assert result.stdout.split() == ["web1", "web2"], result.stderr
