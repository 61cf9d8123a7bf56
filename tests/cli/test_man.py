"""The manual: well-formed, and complete beside the tables of the program and of the agent."""
import pathlib
import re
import subprocess

import pytest

TOP = pathlib.Path(__file__).parents[2]
FOLDER = TOP / "docs/man"
PAGES = sorted(FOLDER.iterdir())
PAGE = (FOLDER / "corpus.1").read_text()


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_groff_and_mandoc_have_nothing_to_say(page):
    groff = run("groff", "-mandoc", "-ww", "-z", str(page))
    assert groff.returncode == 0 and groff.stderr == ""
    lint = run("mandoc", "-Tlint", "-Wstyle", str(page)).stdout.splitlines()
    # Pages refer to each other before they are installed.
    assert [line for line in lint if "referenced manual not found" not in line] == []


def commands(corpus):
    part = corpus("help").stdout.split("commands:")[1].split("options of all")[0]
    return [re.match(r"((image |snapshot |key )?[a-z]+)", line.strip()).group(1)
            for line in part.splitlines() if line.strip()]


def options(text):
    return re.findall(r"^  (?:-\w, |    )(--[a-z0-9-]+)", text, re.MULTILINE)


def test_every_command_is_in_the_manual(corpus):
    for command in commands(corpus):
        assert re.search(rf"^\.It Cm {command}\b|^\.Cm {command}\b", PAGE, re.MULTILINE), command


def test_every_option_is_in_the_manual(corpus):
    assert options(corpus("help").stdout)
    for command in ["", *commands(corpus)]:
        for option in options(corpus("help", *command.split()).stdout):
            assert re.search(rf"Fl -{option[2:]}\b", PAGE), f"{command} {option}"


def test_every_alias_and_key_is_in_the_manual(corpus):
    found = re.findall(r"also known as: (\S+)",
                       "".join(corpus("help", *name.split()).stdout for name in commands(corpus)))
    keys = corpus("help", "set").stdout.split("keys:\n")[1].splitlines()[0].split()
    assert found and keys
    for word in found + keys:
        word = word.removesuffix("KEY").removesuffix("NAME")
        assert re.search(rf"^\.(It )?Cm .*{re.escape(word)}", PAGE, re.MULTILINE), word


def test_every_exit_status_is_in_the_manual():
    table = re.findall(r"\[ERR_\w+\] = \{.*, (\d+)\}", (TOP / "base/err.c").read_text())
    statuses = set(re.findall(r"^\.It (\d+)$", PAGE, re.MULTILINE))
    assert set(table) <= statuses


def test_every_key_of_the_configuration_is_in_the_manual():
    source = (TOP / "agent/config/keys.c").read_text()
    keys = set(re.findall(r'(?:KEY|CONFIG|SECTION)\("(\w+)"|\{\.name = "(\w+)"', source))
    page = (FOLDER / "corpusd.yaml.5").read_text()
    assert len(keys) > 20
    for key in (first or second for first, second in keys):
        assert re.search(rf"^\.(It Cm|Ss) (.* )?{key}\b", page, re.MULTILINE), key
