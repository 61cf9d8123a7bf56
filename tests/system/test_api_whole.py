"""Every endpoint of docs/openapi.yaml is called at least once in the life of some guests. The client
holds each answer against the page."""
import pytest
from harness.contract import contract

NAME = "whole.example.org"
OTHER = "other.example.org"
CLONE = "clone.example.org"


@pytest.fixture(scope="module")
def calls(fake):
    """The endpoints called so far, by operationId."""
    return {}


def call(fake, calls, method, path, body=None, **query):
    answer = fake.api.call(method, path, body, query=query)
    calls[contract().operation(method, path)["operationId"]] = answer.status
    return answer.json


def life(fake, calls):
    """One call after the other, from an empty node to an empty node."""
    def do(method, path, body=None, **query):
        return call(fake, calls, method, path, body, **query)

    def change(method, path, body=None, **query):
        done = do(method, path, body, wait=30, **query)
        assert done.get("state") == "done", done
        return done

    do("GET", "/v1/openapi.json")
    do("GET", "/v1/node")
    do("GET", "/v1/node/slots")
    do("GET", "/v1/node/doctor")
    do("PATCH", "/v1/node", {"mode": "active"})
    change("POST", "/v1/guests", {"name": NAME, "image": "busybox", "driver": "fake"})
    change("PUT", f"/v1/guests/{OTHER}", {"image": "busybox", "driver": "fake"})
    change("PATCH", f"/v1/guests/{NAME}", {"labels": {"tier": "web"}})
    do("GET", "/v1/guests")
    do("GET", f"/v1/guests/{NAME}")
    do("GET", f"/v1/guests/{NAME}/credentials")
    for verb in ("stop", "start", "freeze", "thaw", "restart", "kill"):
        change("POST", f"/v1/guests/{NAME}/actions/{verb}")
    change("POST", f"/v1/guests/{NAME}/snapshots", {"name": "before"})
    do("GET", f"/v1/guests/{NAME}/snapshots")
    do("GET", f"/v1/guests/{NAME}/snapshots/before")
    change("POST", f"/v1/guests/{NAME}/snapshots/before/restore")
    change("POST", f"/v1/guests/{NAME}/actions/clone", {"name": CLONE, "snapshot": "before"})
    change("POST", f"/v1/guests/{CLONE}/actions/rename", {"name": f"new-{CLONE}"})
    change("DELETE", f"/v1/guests/{NAME}/snapshots/before")
    do("GET", f"/v1/guests/{NAME}/storage")
    change("POST", f"/v1/guests/{NAME}/storage/enlarge", {"size": "1GiB"})
    change("POST", f"/v1/guests/{NAME}/storage/trim", {"size": "1GiB"})
    change("PUT", f"/v1/guests/{NAME}/ports/tcp/45678", {"guest": 80, "purpose": "web"})
    change("POST", f"/v1/guests/{NAME}/ports", {"guest": 81})
    do("GET", f"/v1/guests/{NAME}/ports")
    do("GET", f"/v1/guests/{NAME}/ports/tcp/45678")
    do("GET", "/v1/ports")
    do("GET", "/v1/ports/tcp/45678")
    change("POST", "/v1/ports/tcp/45678/switch", {"to": OTHER})
    change("DELETE", f"/v1/guests/{OTHER}/ports/tcp/45678")
    do("GET", "/v1/images")
    do("GET", "/v1/images/busybox")
    fake.api.import_image("second", fake.dir / "busybox.tar")
    calls["image_import"] = 200
    change("DELETE", "/v1/images/second")
    do("GET", "/v1/stats")
    do("GET", f"/v1/guests/{NAME}/stats")
    do("GET", "/metrics")
    do("POST", f"/v1/guests/{OTHER}/exec", {"command": ["true"]})
    id = do("POST", f"/v1/guests/{OTHER}/exec", {"command": ["cat"], "detach": True,
                                                 "stdin": True})["id"]
    do("GET", "/v1/sessions")
    do("GET", f"/v1/sessions/{id}")
    do("POST", f"/v1/sessions/{id}/signal", {"signal": "TERM"})
    do("DELETE", f"/v1/sessions/{id}")
    operations = do("GET", "/v1/operations")["operations"]
    do("GET", f"/v1/operations/{operations[0]['id']}")
    do("GET", "/v1/audit")
    do("GET", "/v1/events", after=0, follow="false")
    change("DELETE", f"/v1/guests/{NAME}", destroy="true")
    change("DELETE", f"/v1/guests/{OTHER}", destroy="true")
    change("DELETE", f"/v1/guests/new-{CLONE}", destroy="true")


def test_every_endpoint_answers_as_described(fake, calls):
    life(fake, calls)
    described = {operation["operationId"] for _, _, operation in contract().operations()}
    # These have tests of their own: an operation has to be caught in flight, streams are no answers,
    # the fake driver has neither consoles nor files, and this one keeps no images.
    assert described - set(calls) == {
        "operation_cancel", "guest_console", "session_attach", "guest_logs", "file_get", "file_put",
        "file_delete", "image_pull"}


def test_the_page_that_is_served_is_the_one_in_docs(fake):
    assert fake.api.get("/v1/openapi.json") == contract().document


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/guests", "/v1/guests/", "/v1//guests", "/v1/nope",
                                  "/v1/guests/a/b", "/v1/../v1/node", "/v1/guests/x/actions/fly"])
def test_an_unknown_path_is_404(fake, path):
    assert fake.api.send("GET", path).status == 404


@pytest.mark.parametrize("method, path", [
    ("PUT", "/v1/guests"), ("POST", "/v1/guests/a.b"), ("DELETE", "/v1/node"), ("PUT", "/v1/node"),
    ("POST", "/v1/images/x"), ("PATCH", "/v1/images/x"), ("GET", "/v1/guests/a/actions/start"),
    ("BREW", "/v1/node"), ("TRACE", "/v1/node")])
def test_an_unknown_method_is_405(fake, method, path):
    answer = fake.api.send(method, path)
    assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("path, status", [
    ("/v1/guests/no.such.guest", 404), ("/v1/guests/no.such.guest/storage", 404),
    ("/v1/guests/no.such.guest/ports", 404), ("/v1/ports/tcp/59999", 404),
    ("/v1/images/none", 404), ("/v1/operations/0123456789abcdef", 404)])
def test_what_is_not_there_is_404(fake, path, status):
    answer = fake.api.send("GET", path)
    assert (answer.status, answer.json["code"]) == (status, "not_found")


def test_times_states_and_progress_of_an_operation_are_in_order(fake):
    done = fake.api.change("POST", "/v1/guests",
                           {"name": "order.example.org", "image": "busybox", "driver": "fake"})
    assert done["state"] == "done" and done["progress"] == 1
    assert done["created"] <= done["started"] <= done["ended"]
    assert done["result"]["name"] == done["target"] == "order.example.org"
    assert done["result"]["state"] == "running"
    assert fake.api.guest("order.example.org") == done["result"]
    fake.api.destroy("order.example.org")
