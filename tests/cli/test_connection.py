"""A connection that is refused, cut or slow: what is asked again, what is not, and how it ends."""
import re
import signal
import threading

import pytest
from cli import samples
from cli.conftest import DEADLINE_S
from cli.fake_agent import Answer
from cli.samples import operation, problem
from harness.shell import wait_for

START = "/v1/guests/web/actions/start"


def keys(agent):
    return [request.headers.get("idempotency-key") for request in agent.requests]


def test_no_agent_is_status_7_with_advice(corpus, agent):
    agent.stop()
    result = corpus("list")
    assert result.returncode == 7 and "is corpusd running?" in result.stderr.lower()


def test_a_socket_that_may_not_be_opened_is_status_4(corpus, agent):
    agent.path.chmod(0o600)
    result = corpus.start("list", user=65534, group=65534)
    _, err = result.communicate(timeout=DEADLINE_S)
    assert result.returncode == 4 and "may not open" in err


@pytest.mark.parametrize("cut", ["before", "within"])
def test_a_change_that_is_cut_is_sent_again_with_the_same_key(cut, corpus, agent):
    agent.answer(Answer(200, operation("guest.start"), cut=cut),
                 Answer(200, operation("guest.start")))
    result = corpus("start", "web")
    assert result.returncode == 0 and result.stdout == "web: started\n"
    assert [request.path.partition("?")[0] for request in agent.requests] == [START, START]
    assert keys(agent)[0] == keys(agent)[1] and re.fullmatch("[0-9a-f]{32}", keys(agent)[0])
    assert agent.requests[0].path == agent.requests[1].path


def test_each_change_has_a_key_of_its_own(corpus, agent):
    agent.answer(Answer(200, operation("guest.start")), repeat=True)
    corpus("start", "a", "b")
    assert len(set(keys(agent))) == 2


def test_a_second_cut_is_the_end(corpus, agent):
    agent.answer(Answer(cut="before"), repeat=True)
    result = corpus("start", "web")
    assert result.returncode == 7 and "closed the connection" in result.stderr
    assert len(agent.requests) == 2


def test_a_read_that_is_cut_is_sent_again(corpus, agent):
    agent.answer(Answer(cut="before"), Answer(200, samples.GUEST))
    assert corpus("--json", "show", "web").returncode == 0


def test_a_cancel_that_is_cut_is_not_sent_again(corpus, agent):
    """It has no key: the second one could meet an operation that has ended by the first."""
    agent.answer(Answer(cut="before"))
    assert corpus("cancel", "00000000000000aa").returncode == 7
    assert len(agent.requests) == 1


def test_an_agent_that_comes_back_gets_the_change_again(corpus, agent):
    """Refused connections after the cut are waited out."""
    gone = threading.Event()
    agent.answer(Answer(cut="before", hold=gone), Answer(200, operation("guest.start")))
    process = corpus.start("start", "web")
    wait_for_requests(agent, 1)
    agent.path.unlink()
    gone.set()
    agent.stop()
    agent.start()
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0 and out == "web: started\n"


def test_an_operation_is_followed_over_a_restart_of_the_agent(corpus, agent):
    agent.answer(Answer(202, operation(state="queued")), Answer(cut="before"), Answer(cut="before"),
                 Answer(200, operation(state="running")), Answer(cut="before"),
                 Answer(200, operation()))
    result = corpus("create", "web", "-i", "busybox")
    assert result.returncode == 0
    assert {request.method for request in agent.requests[1:]} == {"GET"}


def test_a_time_that_is_over_is_status_7_and_names_the_operation(corpus, agent):
    agent.answer(Answer(202, operation(state="running")), repeat=True)
    result = corpus("create", "web", "-i", "busybox", "--timeout", "200ms")
    assert result.returncode == 7 and "corpus operation 00000000000000aa --wait" in result.stderr
    assert "wait=1" in agent.requests[0].path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_waiting_is_status_130_and_names_the_operation(number, corpus, agent):
    never = threading.Event()
    agent.answer(Answer(202, operation(state="running")), Answer(hold=never), repeat=True)
    process = corpus.start("create", "web", "-i", "busybox")
    wait_for_requests(agent, 2)
    process.send_signal(number)
    _, err = process.communicate(timeout=DEADLINE_S)
    never.set()
    assert process.returncode == 130 and "corpus cancel 00000000000000aa" in err


def test_events_are_resumed_behind_the_last_one(corpus, agent):
    end = threading.Event()
    agent.answer(Answer(200, samples.sse(samples.EVENTS[0]), kind="text/event-stream"),
                 Answer(200, samples.sse(samples.EVENTS[1]) + "id: 3\ndata: {\"cut",
                        kind="text/event-stream"),
                 Answer(200, ": nothing new\n\n", kind="text/event-stream", hold=end))
    process = corpus.start("events", "--follow", "--after", "0", "--json")
    wait_for_requests(agent, 3)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=DEADLINE_S)
    end.set()
    assert [request.headers.get("last-event-id") for request in agent.requests] == [None, "1", "2"]
    assert len(out.splitlines()) == 2 and "cut" not in out and process.returncode == 0


def test_events_refused_end_at_once(corpus, agent):
    agent.answer(Answer(403, problem("denied", 403, "the role none may not do this")))
    assert corpus("events", "--follow").returncode == 4


def test_output_that_cannot_be_written_is_a_failure(corpus, agent):
    agent.answer(Answer(200, samples.GUEST))
    with open("/dev/full", "w", encoding="utf-8") as full:
        process = corpus.start("--json", "show", "web", stdout=full)
        _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode != 0 and "No space left" in err


def wait_for_requests(agent, count):
    wait_for(f"{count} requests", lambda: len(agent.requests) >= count, DEADLINE_S)
