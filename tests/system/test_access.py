"""Who may do what, and the log of who did: roles by user, what only admins may say of a guest, and
audit.log with its bounds."""
import json
import urllib.parse

import pytest

OPERATOR, VIEWER, NOBODY = 12345, 12346, 12347
ACCESS = [{"user": OPERATOR, "role": "operator"}, {"user": VIEWER, "role": "viewer"}]
KEY = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBdW/xSQUtw7v/IFOP9maf8CsdaNQuODMqQH8VdK/E6C "
       "someone@example.org")
RAW = ["lxc.cap.drop = sys_time"]
WEB = "/v1/guests/web"


@pytest.fixture
def node(make_node):
    made = make_node(settings={"access": ACCESS}, drivers=("fake",))
    yield made
    made.clear()


def body(name="web", **fields):
    return {"name": name, "image": "busybox", "driver": "fake", **fields}


def records(node, **filters):
    """Records of the log that hold these values, newest first."""
    found = node.api.get("/v1/audit", limit=1000)["records"]
    return [r for r in found if all(r.get(k) == v for k, v in filters.items())]


def test_each_role_may_do_what_the_one_below_may_and_no_more(node):
    node.api.create("web", driver="fake")
    for user, method, path, given, status in (
            (NOBODY, "GET", "/v1/node", None, 403),
            (VIEWER, "GET", "/v1/node", None, 200),
            (VIEWER, "POST", "/v1/guests", body("x"), 403),
            (VIEWER, "POST", f"{WEB}/actions/stop", {}, 403),
            (VIEWER, "DELETE", f"{WEB}?destroy=true", None, 403),
            (VIEWER, "GET", f"{WEB}/credentials", None, 403),
            (OPERATOR, "GET", f"{WEB}/credentials", None, 403),
            (OPERATOR, "GET", "/v1/audit", None, 403),
            (OPERATOR, "PATCH", "/v1/node", {"mode": "drain"}, 403),
            (OPERATOR, "POST", f"{WEB}/actions/stop?wait=30", {}, 200)):
        path, _, query = path.partition("?")
        answer = node.api.send_as(user, method, path, given,
                                  query=dict(urllib.parse.parse_qsl(query)))
        assert answer.status == status, (user, method, path, answer.text)
    assert node.api.get(WEB)["state"] == "stopped"


def test_a_verb_can_need_a_higher_role_on_a_node(make_node):
    node = make_node(settings={"access": ACCESS, "verbs": {"guest.destroy": "admin"}},
                     drivers=("fake",))
    assert node.api.send_as(OPERATOR, "POST", "/v1/guests", body(), query={"wait": 30}).status == 200
    for query in ({"destroy": "true"}, {"destroy": "true", "dry_run": "true"}):
        answer = node.api.send_as(OPERATOR, "DELETE", WEB, query=query)
        assert answer.status == 403 and "guest.destroy" in answer.json["detail"]
    assert node.api.get(WEB)["state"] == "running"
    assert node.api.send_as(OPERATOR, "POST", f"{WEB}/actions/stop", {},
                            query={"wait": 30}).status == 200
    node.api.destroy("web")


@pytest.mark.parametrize("field, value", [("privileged", True), ("raw", RAW)])
def test_what_weakens_the_wall_is_for_admins_only(node, field, value):
    given = body(**{field: value})
    for method, path in (("POST", "/v1/guests"), ("PUT", WEB)):
        answer = node.api.send_as(OPERATOR, method, path, given)
        assert answer.status == 403 and answer.json["field"] == field
    assert node.api.guests() == []
    node.api.change("POST", "/v1/guests", given)
    assert node.api.get(WEB)[field] == value


def test_raw_lines_are_changed_by_admins_only_and_may_be_sent_back(node):
    node.api.create("web", driver="fake", raw=RAW)
    for method, given in (("PATCH", {"raw": []}), ("PATCH", {"raw": RAW * 2}),
                          ("PATCH", {"raw": None, "slots": 2}), ("PUT", body(raw=["x = y"])),
                          ("PUT", body())):
        answer = node.api.send_as(OPERATOR, method, WEB, given)
        assert answer.status == 403 and answer.json["field"] == "raw", answer.text
    assert node.api.get(WEB)["raw"] == RAW and node.api.get(WEB)["slots"] == 1
    assert node.api.send_as(OPERATOR, "PUT", WEB, body(raw=RAW, slots=2),
                            query={"wait": 30}).status == 200
    assert node.api.get(WEB)["slots"] == 2
    node.api.change("PATCH", WEB, {"raw": None})
    assert node.api.get(WEB)["raw"] == []


def test_a_change_is_logged_with_who_asked_and_what_came_of_it(node):
    done = node.api.change("POST", "/v1/guests", body(ssh_keys=[KEY], user_data="s3cret"))
    (request,), (end,) = (records(node, event=event, operation=done["id"])
                          for event in ("request", "end"))
    assert {k: request[k] for k in ("uid", "user", "gid", "role", "from", "method", "path", "verb",
                                    "target", "status")} == {
        "uid": 0, "user": "root", "gid": 0, "role": "admin", "from": "unix", "method": "POST",
        "path": "/v1/guests", "verb": "guest.create", "target": "web", "status": 202}
    assert request["pid"] > 0 and request["command"] and request["time"] < end["time"]
    assert end["result"] == "done" and end["target"] == "web"
    assert len(records(node, target="web")) == 2
    text = (node.dir / "log/audit.log").read_text()
    assert "s3cret" not in text and KEY.split()[1] not in text


def test_refusals_and_readings_of_secrets_are_logged_and_other_readings_are_not(node):
    node.api.create("web", driver="fake")
    before = len(records(node))
    node.api.send_as(VIEWER, "GET", "/v1/guests")
    node.api.send_as(VIEWER, "GET", "/v1/guests/none")
    node.api.get("/v1/node")
    assert len(records(node)) == before
    node.api.send_as(NOBODY, "GET", "/v1/guests")
    node.api.send_as(VIEWER, "DELETE", WEB, query={"destroy": "true"})
    node.api.get(f"{WEB}/credentials")
    node.api.send("POST", "/v1/guests", {"name": "-", "image": "none"})
    new = records(node)[:len(records(node)) - before]
    assert [(r["uid"], r["method"], r["path"], r["status"]) for r in reversed(new)] == [
        (NOBODY, "GET", "/v1/guests", 403), (VIEWER, "DELETE", WEB, 403),
        (0, "GET", f"{WEB}/credentials", 200), (0, "POST", "/v1/guests", 422)]


def test_an_operation_that_fails_says_so_in_its_end(node):
    node.api.create("web", driver="fake")
    node.api.send("POST", f"{WEB}/storage/trim", {"to": "1MiB"}, query={"wait": 30})
    end = records(node, event="end", verb="guest.trim")
    refused = records(node, event="request", path=f"{WEB}/storage/trim")
    assert end and end[0]["result"] == "failed" and end[0]["code"] or \
        refused and refused[0]["status"] >= 400


def test_the_log_outlives_a_kill_and_goes_on(node):
    done = node.api.begin("POST", "/v1/guests", body())
    node.kill9()
    with open(node.dir / "log/audit.log", "a", encoding="utf-8") as file:
        file.write('{"event":"request","torn')
    node.start()
    node.api.change("POST", f"{WEB}/actions/stop")
    found = records(node)
    assert [r["verb"] for r in found if r["event"] == "request"][:2] == \
        ["guest.stop", "guest.create"]
    assert not any("torn" in json.dumps(r) for r in found)
    assert records(node, event="end", operation=done["id"])[0]["result"] == "done"


def test_the_log_is_bounded_by_its_settings(make_node):
    node = make_node(settings={"audit": {"size": 4096, "files": 2}}, drivers=("fake",))
    for _ in range(60):
        node.api.send("DELETE", "/v1/guests/none", query={"destroy": "true"})
    sizes = [path.stat().st_size for path in (node.dir / "log").glob("audit.log*")]
    assert len(sizes) == 3 and max(sizes) <= 4096
    assert len(records(node)) > 20


def test_a_log_that_cannot_be_written_is_a_problem_and_stops_nobody(make_node):
    node = make_node(drivers=("fake",))
    log = node.dir / "log/audit.log"
    node.stop()
    log.rename(log.with_name("moved"))
    log.mkdir()
    node.start()
    assert any(p["code"] == "audit" for p in node.api.get("/v1/node")["problems"])
    node.api.create("web", driver="fake")
    node.api.destroy("web")
    log.rmdir()
    node.stop()
    node.start()
    node.api.create("web", driver="fake")
    assert not any(p["code"] == "audit" for p in node.api.get("/v1/node")["problems"])
    node.api.destroy("web")
