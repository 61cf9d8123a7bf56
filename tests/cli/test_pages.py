"""The pages for people show commands as they are: each `corpus …` in them exists, with its options."""
import pathlib
import re
import shlex
import subprocess

import pytest
from cli.conftest import PROGRAM, TOP

PAGES = sorted([*TOP.glob("*.md"), *TOP.glob("docs/*.md")])
FENCED = re.compile(r"^```\n(.*?)^```", re.M | re.S)
INLINE = re.compile(r"`(corpus [^`]+)`")
PROMPT = re.compile(r"^(?:[#$] )?(corpus .*)$", re.M)
COMMAND = re.compile(r"^  ([a-z]+(?: [a-z]+)?)(?= )", re.M)
OPTION = re.compile(r"--?[a-z1][a-z-]*")


def shown(text):
    """The words of each command in a page."""
    lines = [line for block in FENCED.findall(text)
             for line in PROMPT.findall(block.replace("\\\n", " "))]
    for line in lines + INLINE.findall(text):
        yield line, shlex.split(line, comments=True)[1:]


def help_of(*words):
    return subprocess.run([PROGRAM, "help", *words], capture_output=True, text=True, timeout=60,
                          check=True).stdout


@pytest.fixture(scope="module")
def known():
    """The words of all commands, and the options that every one of them takes."""
    commands, options = help_of().split("options of all commands:")
    return {tuple(name.split()) for name in COMMAND.findall(commands)}, options


def options_of(command, words):
    """Those of ours; what follows a guest's name in exec belongs to the command there."""
    for word in words:
        if command == ("exec",) and not word.startswith("-") and "." in word:
            return
        if word.startswith("--") and OPTION.fullmatch(word):
            yield word
        elif OPTION.fullmatch(word):
            yield from (f"-{letter}" for letter in word[1:])


def check(line, words, known):
    commands, common = known
    while words[0].startswith("-"):
        assert words[0] in common, line
        words = words[1:]
    command = next((c for c in (tuple(words[:2]), tuple(words[:1])) if c in commands), None)
    assert command, f"there is no such command: {line}"
    text = help_of(*command) + common
    if command == ("image", "build"):
        text += "".join(path.read_text() for path in (TOP / "dist/image-build").iterdir())
    for option in options_of(command, words):
        assert re.search(rf"{option}\b", text), f"there is no option {option}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_pages_exist(page, known):
    for line, words in shown(page.read_text()):
        check(line, words, known)


def test_commands_are_found_in_pages():
    text = pathlib.Path(TOP / "docs/OPERATIONS.md").read_text()
    assert len(list(shown(text))) > 50


@pytest.mark.parametrize("line", ["corpus fly NAME", "corpus list --sideways", "corpus image paint x"])
def test_what_does_not_exist_is_noticed(line, known):
    with pytest.raises(AssertionError, match="there is no"):
        check(line, shlex.split(line)[1:], known)
