"""corpus edit: what is sent of a text, and that no text is lost."""
import json
import re

import pytest
import yaml
from cli import samples
from cli.fake_agent import Answer
from cli.samples import operation, problem

WEB = samples.GUEST["name"]


@pytest.fixture
def edit(corpus, agent, tmp_path):
    """Runs the command with an editor that is a sed script; answers with what came of it."""
    def run(script, *answers, words=(), editor="sed -i -e"):
        agent.answer(Answer(200, samples.GUEST), *answers)
        return corpus("edit", WEB, *words, environment={
            "EDITOR": f"{editor} '{script}'" if script else "true", "TMPDIR": str(tmp_path)})
    return run


def kept(tmp_path):
    return [path.name for path in tmp_path.glob("corpus-edit-*")]


def done():
    return Answer(200, operation("guest.update", result=samples.GUEST))


def test_the_difference_is_sent_for_the_guest_as_it_was_read(edit, agent, tmp_path):
    result = edit("s/memory: .*/memory: 512MiB/; s/team: web/color: red/; /^  pids/d; "
                  "s/^ssh_keys: .*/ssh_keys: [a b]/", done())
    assert (result.returncode, result.stdout) == (0, f"{WEB}: changed\n"), result.stderr
    request = agent.requests[1]
    assert request.method == "PATCH" and request.headers["if-match"] == '"0123456789ab-7"'
    assert json.loads(request.body) == {
        "limits": {"memory": "512MiB", "pids": None}, "labels": {"team": None, "color": "red"},
        "ssh_keys": ["a b"]}
    assert kept(tmp_path) == []


def test_without_a_difference_nothing_is_sent(edit, agent, tmp_path):
    result = edit("")
    assert (result.returncode, result.stdout) == (0, f"{WEB}: not changed\n")
    assert len(agent.requests) == 1 and kept(tmp_path) == []


def test_the_text_tells_what_each_setting_is(edit, tmp_path):
    result = edit("w " + str(tmp_path / "seen"), editor="sed -n -i -e")
    text = (tmp_path / "seen").read_text()
    settings = yaml.safe_load(text)
    assert settings["limits"] == samples.GUEST["limits"]
    for key in settings:
        assert re.search(f"^# {key} ", text, re.MULTILINE), key
    assert result.returncode != 0  # sed -n has emptied the text


@pytest.mark.parametrize("status, code", [(412, "precondition_failed"), (422, "invalid"),
                                          (403, "denied")])
def test_a_text_that_is_refused_is_kept_and_can_be_gone_on_with(
        status, code, edit, agent, tmp_path):
    result = edit("s/slots: 1/slots: 5/", Answer(status, problem(code, status, "no, because")))
    name, = kept(tmp_path)
    assert result.returncode != 0 and f"{tmp_path}/{name}" in result.stderr
    assert "no, because" in result.stderr
    result = edit("", done(), words=["--file", str(tmp_path / name)])
    assert result.returncode == 0, result.stderr
    assert json.loads(agent.requests[-1].body) == {"slots": 5}
    assert kept(tmp_path) == [name]


@pytest.mark.parametrize("script, said", [
    ("s/^limits:/limits: [/", "line "), ("s/^slots:.*/slots: 1\\nslots: 2/", "slots is there twice"),
    ("d", "holds no settings")])
def test_a_text_that_is_not_understood_is_kept_and_told_with_its_line(
        script, said, edit, agent, tmp_path):
    result = edit(script)
    assert result.returncode != 0 and said in result.stderr and len(agent.requests) == 1
    assert len(kept(tmp_path)) == 1 and kept(tmp_path)[0] in result.stderr


def test_an_editor_that_fails_sends_nothing(edit, agent, tmp_path):
    result = edit("x", editor="false")
    assert result.returncode != 0 and "set EDITOR" in result.stderr
    assert len(agent.requests) == 1 and len(kept(tmp_path)) == 1
