"""What the API promises about changes: keys, tags, dry runs, waiting, cancelling, events."""
import threading

import pytest
from harness.api import Problem
from harness.shell import wait_for

BODY = {"image": "busybox", "driver": "fake"}


def operations_of(node, name):
    return node.api.get("/v1/operations", target=name)["operations"]


@pytest.fixture
def guest(fake, request):
    """A running guest of the test's own; destroyed afterwards."""
    name = "g-" + str(abs(hash(request.node.nodeid)) % 10**9) + ".example.org"
    fake.api.create(name, driver="fake")
    yield name
    try:
        fake.api.destroy(name)
    except Problem as problem:
        assert problem.status == 404


# --- Idempotency-Key ---

def test_the_same_key_gives_the_same_operation(fake):
    headers = {"Idempotency-Key": "key-1"}
    body = BODY | {"name": "key.example.org"}
    first = fake.api.change("POST", "/v1/guests", body, headers=headers)
    again = fake.api.change("POST", "/v1/guests", body, headers=headers)
    assert again["id"] == first["id"]
    assert len(operations_of(fake, "key.example.org")) == 1
    fake.api.destroy("key.example.org")
    # Also after what it made is gone, and after a restart of the agent.
    fake.restart()
    assert fake.api.change("POST", "/v1/guests", body, headers=headers)["id"] == first["id"]
    assert fake.api.guests() == []


def test_the_port_is_in_the_answer_also_when_the_operation_comes_from_the_journal(fake, guest):
    headers, path = {"Idempotency-Key": "key-port"}, f"/v1/guests/{guest}/ports"
    first = fake.api.change("POST", path, {"guest": 80}, headers=headers)
    assert first["result"]["guest"] == 80
    assert fake.api.get(f"/v1/operations/{first['id']}") == first
    assert fake.api.change("POST", path, {"guest": 80}, headers=headers) == first
    fake.api.change("DELETE", f"{path}/tcp/{first['result']['host']}")
    assert "result" not in fake.api.get(f"/v1/operations/{first['id']}")


def test_the_same_key_with_another_request_is_422(fake, guest):
    headers = {"Idempotency-Key": "key-2"}
    path = f"/v1/guests/{guest}"
    fake.api.change("PATCH", path, {"labels": {"a": "1"}}, headers=headers)
    for method, where, body in (("PATCH", path, {"labels": {"a": "2"}}),
                                ("POST", f"{path}/actions/stop", None)):
        answer = fake.api.send(method, where, body, headers=headers)
        assert (answer.status, answer.json["code"]) == (422, "key_reused")
    assert fake.api.guest(guest)["labels"] == {"a": "1"}


def test_a_key_used_by_many_at_once_begins_one_operation(fake):
    body, answers = BODY | {"name": "race.example.org"}, []

    def create():
        answers.append(fake.api.send("POST", "/v1/guests", body, query={"wait": 30},
                                     headers={"Idempotency-Key": "key-3"}))

    in_parallel([create] * 10)
    assert {a.status for a in answers} == {200}
    assert len({a.json["id"] for a in answers}) == 1
    fake.api.destroy("race.example.org")


# --- ETag and If-Match ---

def test_a_stale_etag_is_412_and_changes_nothing(fake, guest):
    path = f"/v1/guests/{guest}"
    stale = fake.api.call("GET", path).etag
    fake.api.change("PATCH", path, {"labels": {"a": "1"}})
    fresh = fake.api.call("GET", path).etag
    assert stale != fresh
    for method, where, body, query in (
            ("PATCH", path, {"labels": {"a": "2"}}, {}), ("DELETE", path, None, {"destroy": "true"}),
            ("PUT", path, BODY, {}), ("POST", f"{path}/actions/stop", None, {}),
            ("POST", f"{path}/storage/enlarge", None, {}),
            ("POST", f"{path}/ports", {"guest": 99}, {})):
        answer = fake.api.send(method, where, body, query=query, headers={"If-Match": stale})
        assert (answer.status, answer.json["code"]) == (412, "precondition_failed"), where
    assert fake.api.call("GET", path).etag == fresh
    fake.api.change("PATCH", path, {"labels": {"a": "3"}}, headers={"If-Match": fresh})


def test_of_two_changes_of_what_was_read_one_is_refused(fake, guest):
    path = f"/v1/guests/{guest}"
    read = fake.api.call("GET", path).etag
    begun = [fake.api.send("PATCH", path, {"labels": {"a": str(i)}}, headers={"If-Match": read})
             for i in range(4)]
    ends = [fake.api.wait(answer.json["id"]) for answer in begun if answer.status == 202]
    done = [end for end in ends if end["state"] == "done"]
    late = [end["error"]["code"] for end in ends if end["state"] == "failed"]
    assert len(done) == 1 and set(late) <= {"precondition_failed"}
    assert {answer.status for answer in begun} <= {202, 412}
    assert fake.api.guest(guest)["labels"] == {"a": "0"}


def test_if_match_star_wants_the_guest_to_exist(fake):
    answer = fake.api.send("PUT", "/v1/guests/star.example.org", BODY, headers={"If-Match": "*"})
    assert answer.status == 412
    assert fake.api.guests() == []


# --- PUT makes it so ---

def test_put_creates_changes_or_does_nothing(fake):
    path = "/v1/guests/put.example.org"
    assert fake.api.change("PUT", path, BODY)["verb"] == "guest.create"
    assert fake.api.change("PUT", path, BODY)["changed"] is False
    changed = fake.api.change("PUT", path, BODY | {"labels": {"a": "1"}})
    assert changed["verb"] == "guest.update" and changed["result"]["labels"] == {"a": "1"}
    count = len(operations_of(fake, "put.example.org"))
    assert fake.api.change("PUT", path, BODY | {"labels": {"a": "1"}})["changed"] is False
    assert len(operations_of(fake, "put.example.org")) == count
    answer = fake.api.send("PUT", path, BODY | {"storage": {"size": "9GiB"}})
    assert answer.status == 409 and answer.json["field"] == "storage.size"
    fake.api.destroy("put.example.org")


def test_what_is_already_so_is_a_result_and_no_operation(fake, guest):
    path = f"/v1/guests/{guest}"
    fake.api.change("PUT", f"{path}/ports/tcp/45100", {"guest": 80})
    count = len(operations_of(fake, guest))
    for method, where, body in (
            ("POST", f"{path}/actions/start", None), ("PATCH", path, {"slots": 1}),
            ("PUT", f"{path}/ports/tcp/45100", {"guest": 80})):
        assert fake.api.change(method, where, body)["changed"] is False, where
    assert len(operations_of(fake, guest)) == count


# --- dry_run ---

def test_a_dry_run_says_what_would_happen_and_changes_nothing(fake, guest):
    path = f"/v1/guests/{guest}"
    fake.api.change("PUT", f"{path}/ports/tcp/45101", {"guest": 80})
    before = [fake.api.get(p) for p in ("/v1/guests", "/v1/ports", "/v1/operations", "/v1/images",
                                        "/v1/node/slots")]
    for method, where, body in (
            ("POST", "/v1/guests", BODY | {"name": "dry.example.org"}),
            ("PUT", "/v1/guests/dry.example.org", BODY), ("PATCH", path, {"labels": {"a": "1"}}),
            ("POST", f"{path}/actions/stop", None), ("POST", f"{path}/actions/restart", None),
            ("POST", f"{path}/actions/kill", None), ("POST", f"{path}/storage/enlarge", None),
            ("POST", f"{path}/storage/trim", {"to": "1GiB"}),
            ("POST", f"{path}/ports", {"guest": 81}),
            ("PUT", f"{path}/ports/tcp/45102", {"guest": 81}),
            ("DELETE", f"{path}/ports/tcp/45101", None)):
        plan = fake.api.plan(method, where, body)
        assert plan["dry_run"] is True and plan["changed"] is True and plan["steps"], where
    plan = fake.api.call("DELETE", path, query={"destroy": "true", "dry_run": "true"}).json
    assert plan["verb"] == "guest.destroy" and plan["steps"]
    assert fake.api.plan("POST", f"{path}/actions/start")["changed"] is False
    after = [fake.api.get(p) for p in ("/v1/guests", "/v1/ports", "/v1/operations", "/v1/images",
                                       "/v1/node/slots")]
    assert after == before


def test_a_dry_run_refuses_what_the_change_would(fake, guest):
    for method, path, body, status in (
            ("POST", "/v1/guests", BODY | {"name": guest}, 409),
            ("POST", "/v1/guests", BODY | {"name": "x.example.org", "image": "none"}, 404),
            ("POST", "/v1/guests/no.such/actions/start", None, 404),
            ("POST", f"/v1/guests/{guest}/storage/trim", {"to": 4096}, 422)):
        answer = fake.api.send(method, path, body, query={"dry_run": "true"})
        assert answer.status == status, answer.text


# --- waiting and cancelling ---

def test_without_wait_a_change_is_202_and_goes_on(fake):
    operation = fake.api.begin("POST", "/v1/guests", BODY | {"name": "later.example.org"})
    assert fake.api.wait(operation["id"])["state"] == "done"
    assert fake.api.guest("later.example.org")["state"] == "running"
    fake.api.destroy("later.example.org")


def test_changes_of_one_guest_run_in_the_order_they_were_asked_for(fake, guest):
    begun = [fake.api.begin("PATCH", f"/v1/guests/{guest}", {"labels": {"n": str(n)}})
             for n in range(20)]
    ends = [fake.api.wait(operation["id"]) for operation in begun]
    assert all(end["state"] == "done" for end in ends)
    assert [e["ended"] for e in ends] == sorted(e["ended"] for e in ends)
    assert fake.api.guest(guest)["labels"] == {"n": "19"}


def test_an_operation_that_has_ended_cannot_be_cancelled(fake, guest):
    done = operations_of(fake, guest)[0]
    answer = fake.api.send("DELETE", f"/v1/operations/{done['id']}")
    assert (answer.status, answer.json["code"]) == (409, "illegal_state")


def test_a_cancelled_create_leaves_nothing(make_node):
    node = make_node(drivers=("fake",))
    node.stop()
    node.start(faults="ops.guest.create.start.before=wait:1000")
    operation = node.api.begin("POST", "/v1/guests", BODY | {"name": "no.example.org"})
    wait_for("the create is under way",
             lambda: node.api.get(f"/v1/operations/{operation['id']}")["step"] is not None)
    answer = node.api.call("DELETE", f"/v1/operations/{operation['id']}")
    assert answer.status == 202 and answer.json["cancel_requested"] is True
    assert node.api.wait(operation["id"])["state"] == "cancelled"
    assert node.api.guests() == [] and node.api.get("/v1/ports")["ports"] == []
    assert node.api.get("/v1/node/slots")["used"] == 0
    node.assert_empty()


# --- illegal verbs ---

def test_an_illegal_verb_is_409_and_says_in_which_state_the_guest_is(make_node):
    node = make_node(drivers=("fake",))
    node.api.create("going.example.org", driver="fake")
    node.restart(faults="ops.guest.destroy.*=wait:300")
    gone = node.api.begin("DELETE", "/v1/guests/going.example.org", destroy="true")
    answer = node.api.send("POST", "/v1/guests/going.example.org/actions/start")
    assert (answer.status, answer.json["code"]) == (409, "illegal_state"), answer.text
    assert "destroying" in answer.json["detail"] and "stopped" in answer.json["detail"]
    assert node.api.wait(gone["id"])["state"] == "done"


# --- events ---

def test_events_resume_without_a_gap_over_a_kill_9(make_node):
    node = make_node(drivers=("fake",))
    name = "seen.example.org"
    seen = []
    with node.api.events(after=0) as stream:
        node.api.create(name, driver="fake")
        seen += stream.until(lambda e: e["type"] == "guest.state" and e["state"] == "running")
    node.kill9()
    node.start()
    node.api.destroy(name)
    with node.api.events(header=seen[-1]["number"]) as stream:
        seen += stream.until(lambda e: e["type"] == "guest.destroyed")
    numbers = [event["number"] for event in seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    with node.api.events(after=0) as stream:
        assert [e["number"] for e in stream.until(
            lambda e: e["number"] == numbers[-1])] == numbers


def test_a_stream_without_a_number_begins_now(fake, guest):
    with fake.api.events() as stream:
        fake.api.change("PATCH", f"/v1/guests/{guest}", {"labels": {"now": "1"}})
        seen = stream.until(lambda e: e["type"] == "guest.changed")
    assert all(event.get("target") in (guest, None) for event in seen)
    assert seen[0]["type"] == "operation.accepted"


def test_many_streams_see_the_same(fake, guest):
    streams = [fake.api.events() for _ in range(20)]
    fake.api.act(guest, "stop")
    seen = [[e["number"] for e in stream.until(lambda e: e["type"] == "operation.ended")]
            for stream in streams]
    for stream in streams:
        stream.close()
    assert all(numbers == seen[0] for numbers in seen)


def test_forgotten_events_are_announced_as_a_gap(make_node):
    node = make_node(drivers=("fake",), settings={"events_kept": 20,
                                                    "reconcile_interval": "1s"})
    for n in range(10):
        node.api.create(f"e{n}.example.org", driver="fake")

    def first():
        with node.api.events(after=0) as stream:
            return next(iter(stream))

    gap = wait_for("old events are forgotten",
                   lambda: (event := first())["type"] == "gap" and event)
    assert "number" in gap


def in_parallel(jobs):
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
