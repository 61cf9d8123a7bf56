"""Bad input, derived from docs/openapi.yaml: for every field of every request body and every query
parameter, values that its schema does not allow. Each must be refused with a problem that names the
field, and nothing may have changed."""
import json
import warnings

import jsonschema
import pytest
from harness.contract import contract

GUEST = "steady.example.org"
SSH_KEY = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBdW/xSQUtw7v/IFOP9maf8CsdaNQuODMqQH8VdK/E6C "
           "someone@example.org")

# A valid body of each request; bad values are put into it one at a time.
VALID = {
    "node_patch": ("/v1/node", {"mode": "active"}),
    "guest_create": ("/v1/guests", {
        "name": "bad.example.org", "image": "busybox", "driver": "fake", "slots": 1,
        "limits": {"cpus": 1, "memory": "64MiB", "swap": 0, "pids": 100, "io_weight": 100,
                   "io_read": 0, "io_write": 0, "net_ingress": 0, "net_egress": 0},
        "storage": {"size": "1GiB"}, "network": {"address": "10.5.9.9"},
        "ports": [{"proto": "tcp", "host": 45000, "guest": 80, "purpose": "web"}],
        "environment": "dev", "autostart": {"on": True, "order": 1, "delay": "1s"},
        "restart": {"policy": "always", "max": 3}, "labels": {"tier": "web"},
        "health": {"check": "http", "port": 80, "path": "/", "interval": "10s", "timeout": "1s",
                   "retries": 2, "grace": "5s", "restart": True},
        "ssh_keys": [SSH_KEY], "user_data": "#!/bin/sh", "raw": ["lxc.signal.halt = SIGTERM"],
        "privileged": False, "start": True}),
    "guest_put": ("/v1/guests/bad.example.org", {"image": "busybox", "driver": "fake"}),
    "guest_patch": (f"/v1/guests/{GUEST}", {
        "slots": 1, "limits": {"cpus": 1, "memory": "64MiB", "swap": 0, "pids": 100,
                               "io_weight": 100, "io_read": 0, "io_write": 0,
                               "net_ingress": 0, "net_egress": 0},
        "environment": "dev", "autostart": {"on": True, "order": 1, "delay": "1s"},
        "restart": {"policy": "always", "max": 3}, "labels": {"tier": "web"},
        "health": {"check": "exec", "command": ["true"], "interval": "10s"},
        "ssh_keys": [SSH_KEY], "user_data": "#!/bin/sh", "raw": ["lxc.signal.halt = SIGTERM"]}),
    "guest_stop": (f"/v1/guests/{GUEST}/actions/stop", {"timeout": "1s"}),
    "guest_restart": (f"/v1/guests/{GUEST}/actions/restart", {"timeout": "1s"}),
    "storage_enlarge": (f"/v1/guests/{GUEST}/storage/enlarge", {"size": "1GiB"}),
    "storage_trim": (f"/v1/guests/{GUEST}/storage/trim", {"to": "1GiB"}),
    "port_publish_any": (f"/v1/guests/{GUEST}/ports",
                         {"proto": "tcp", "host": 45001, "guest": 80, "purpose": "web"}),
    "port_publish": (f"/v1/guests/{GUEST}/ports/tcp/45001", {"guest": 80, "purpose": "web"}),
    "port_switch": ("/v1/ports/tcp/45002/switch", {"to": GUEST, "guest": 80, "flush": False}),
}

VALUES = [None, True, 0, -1, 1.5, 65536, 2**31, 2**63, 2**64, 10**40, "", " ", "x", "X Y", "1",
          "-1", "5GiBB", "5 GiB", "99999999999TiB", "1e9", "a" * 254, "a" * 70000, "a\nb",
          "a\x00b", "\x1b[2J", "../../etc", "é", "\U0001f4a9", "'; drop table guests; --", "%s%n",
          "10.5.0.256", "999.1.1.1", "::1", [], [1], {}, {"a": 1}, [[]], "UPPER.example.org",
          "-dash.example.org", "dots..example.org", "-"]


def fields(schema, value, path=""):
    """(path, schema) of a body's fields, as deep as the valid body goes."""
    schema = contract().resolve(schema)
    if isinstance(value, list):
        yield from fields(schema["items"], value[0], f"{path}[0]")
    elif isinstance(value, dict):
        known = schema.get("properties", {})
        for name, inner in value.items():
            below = known.get(name, schema.get("additionalProperties"))
            where = f"{path}.{name}" if path else name
            yield where, below
            yield from fields(below, inner, where)


def with_value(body, path, value):
    """A copy of the body with one field changed."""
    copy = json.loads(json.dumps(body))
    node, steps = copy, path.replace("[", ".[").split(".")
    for step in steps[:-1]:
        node = node[int(step[1:-1]) if step.startswith("[") else step]
    node[steps[-1]] = value
    return copy


def is_required(name, path):
    """Whether a body cannot do without the field; parts of lists and objects that can, count so."""
    return path in body_schema_of(name).get("required", [])


def body_schema_of(name):
    return contract().resolve(body_schema(described()[name][1]))


def is_no_json_here(value, answer):
    """Numbers beyond 64 bits and texts with a NUL are refused before fields have names."""
    beyond = isinstance(value, int) and value >= 2**63 or isinstance(value, str) and "\0" in value
    return beyond and answer.json["code"] == "malformed"


def allowed(schema, value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        resolver = jsonschema.RefResolver.from_schema(contract().document)
    return jsonschema.Draft202012Validator(schema, resolver=resolver).is_valid(value)


def described():
    return {operation["operationId"]: (method, operation)
            for method, _, operation in contract().operations()}


def body_schema(operation):
    return operation["requestBody"]["content"]["application/json"]["schema"]


def field_cases():
    for name, (_, body) in VALID.items():
        for path, schema in fields(body_schema(described()[name][1]), body):
            yield pytest.param(name, path, schema, id=f"{name}-{path}")


def object_cases():
    """Every object that a body may hold, where an unknown field can be put."""
    for name, (_, body) in VALID.items():
        yield pytest.param(name, "", id=f"{name}-body")
        for path, schema in fields(body_schema(described()[name][1]), body):
            if "labels" not in path and isinstance(value_at(body, path), dict):
                yield pytest.param(name, path, id=f"{name}-{path}")


def value_at(body, path):
    for step in path.replace("[", ".[").split("."):
        body = body[int(step[1:-1]) if step.startswith("[") else step]
    return body


@pytest.fixture(scope="module")
def steady(fake):
    """A node with one guest, of which nothing may change in this module."""
    fake.api.create(GUEST, driver="fake", ports=[{"guest": 80, "host": 45002}])
    before = everything(fake)
    yield fake
    assert everything(fake) == before


def everything(node):
    return {path: node.api.get(path)
            for path in ("/v1/guests", "/v1/ports", "/v1/images", "/v1/node/slots",
                         "/v1/operations")}


def refused(node, name, body, **options):
    """Sends it; asserts that it is refused as the client's fault; returns the answer."""
    path, _ = VALID[name]
    answer = node.api.send(described()[name][0], path, body, **options)
    assert 400 <= answer.status < 500, (answer.status, body)
    return answer


def names(answer, path):
    """Whether the problem names this field, or a part of it, or the list or object it is in."""
    field = answer.json.get("field", "")
    return field == path or field.startswith((path + ".", path + "[")) or \
        path.startswith((field + ".", field + "[")) and field != ""


@pytest.mark.parametrize("name, path, schema", field_cases())
def test_a_bad_value_is_refused_by_the_name_of_its_field(steady, name, path, schema):
    before = everything(steady)
    tried = 0
    for value in VALUES:
        if allowed(schema, value) or value is None and not is_required(name, path):
            continue  # null in a field that may be left out is the same as leaving it out
        answer = refused(steady, name, with_value(VALID[name][1], path, value))
        assert answer.status in (400, 422) or answer.json["code"] == "not_found", \
            (value, answer.text)
        assert names(answer, path) or is_no_json_here(value, answer), (path, value, answer.text)
        tried += 1
    assert tried > 3
    assert everything(steady) == before


@pytest.mark.parametrize("name, path", object_cases())
def test_an_unknown_field_is_refused_by_its_name(steady, name, path):
    where = f"{path}.bogus" if path else "bogus"
    answer = refused(steady, name, with_value(VALID[name][1], where, 1))
    assert answer.status in (400, 422) and answer.json["field"] == where, answer.text


@pytest.mark.parametrize("name", VALID)
def test_an_unknown_query_parameter_is_refused_by_its_name(steady, name):
    answer = refused(steady, name, VALID[name][1], query={"bogus": "1"})
    assert answer.status in (400, 422) and answer.json["field"] == "bogus", answer.text


@pytest.mark.parametrize("name", VALID)
@pytest.mark.parametrize("text, status", [
    (b"", (400, 422)), (b"{", (400,)), (b"[]", (400, 422)), (b"null", (400, 422)),
    (b"\x00", (400,)), (b"\xff\xfe{}", (400,)), (b'{"a": 1} x', (400,)), (b"{'a': 1}", (400,)),
    (b'{"labels": ' + b"[" * 40 + b"]" * 40 + b"}", (400,)), (b"[" * 100000, (400,)),
    (b'{"image": "\xc3\x28"}', (400,)), (b'{"image": "\\ud800"}', (400,)),
    (b'{"slots": 1, "slots": 2}', (400, 422)), (b'{"slots": 1e999}', (400,)),
    (b'"' + b"a" * (1 << 20) + b'"', (413,))], ids=range(15))
def test_a_body_that_is_no_object_of_the_right_shape_is_refused(steady, name, text, status):
    optional = not described()[name][1]["requestBody"].get("required")
    if optional and text == b"":
        return  # for these it is a good request, and other tests make it
    answer = refused(steady, name, text, headers={"Content-Type": "application/json"})
    assert answer.status in status, answer.text


@pytest.mark.parametrize("media", ["text/plain", "application/xml", "application/jsonx", ""])
def test_another_media_type_is_415(steady, media):
    answer = refused(steady, "guest_create", json.dumps(VALID["guest_create"][1]).encode(),
                     headers={"Content-Type": media})
    assert answer.status == 415, answer.text


BAD_NAMES = ["UPPER", "-a", "a-", "a..b", "a_b", "%00", "a%2fb", "..%2f..", "%", "%zz", "a" * 254,
             "a" * 64, "1.2.3.4", "%c3%a9", "a%20b", "~", "%0d%0aX:1"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_path_with_a_bad_name_is_a_client_error(steady, name):
    for method, path in (("GET", f"/v1/guests/{name}"), ("DELETE", f"/v1/guests/{name}?destroy=true"),
                         ("POST", f"/v1/guests/{name}/actions/start"), ("GET", f"/v1/images/{name}!")):
        answer = steady.api.send(method, path)
        assert answer.status in (400, 404, 422), (method, path, answer.text)


@pytest.mark.parametrize("path", [
    "/v1/ports/tcp/0", "/v1/ports/tcp/65536", "/v1/ports/tcp/-1", "/v1/ports/tcp/x",
    "/v1/ports/sctp/80", "/v1/ports/tcp/99999999999999999999", "/v1/ports/tcp/0x50",
    "/v1/ports/tcp/+80", "/v1/ports/TCP/80", "/v1/operations/x", "/v1/operations/" + "0" * 15,
    "/v1/operations/" + "G" * 16])
def test_a_path_with_a_bad_port_or_id_is_a_client_error(steady, path):
    assert steady.api.send("GET", path).status in (400, 404, 422)


def query_cases():
    for method, path, operation in contract().operations():
        if method != "GET":
            continue
        for parameter in map(contract().resolve, operation.get("parameters", [])):
            if parameter["in"] == "query" and \
                    contract().resolve(parameter["schema"]).get("type") in ("integer", "boolean"):
                yield pytest.param(path, parameter["name"], id=f"{operation['operationId']}-"
                                                               f"{parameter['name']}")


@pytest.mark.parametrize("path, parameter", query_cases())
@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "99999999999999999999", "0x1", " 1", "1;"])
def test_a_bad_query_parameter_is_refused_by_its_name(steady, path, parameter, value):
    path = path.replace("{name}", GUEST).replace("{id}", "0" * 16)
    answer = steady.api.send("GET", path, query={parameter: value})
    assert answer.status in (400, 422) and answer.json["field"] == parameter, answer.text


@pytest.mark.parametrize("value", ["-1", "3601", "x", "", "1.5", "99999999999999999999"])
def test_a_bad_wait_is_refused_and_nothing_is_begun(steady, value):
    before = everything(steady)
    answer = steady.api.send("POST", "/v1/guests", VALID["guest_create"][1], query={"wait": value})
    assert answer.status in (400, 422) and answer.json["field"] == "wait"
    assert everything(steady) == before


@pytest.mark.parametrize("key", ["", "a" * 129, "a b", "\x7f"])
def test_a_bad_idempotency_key_is_refused_and_nothing_is_begun(steady, key):
    before = everything(steady)
    answer = steady.api.send("POST", "/v1/guests", VALID["guest_create"][1],
                             headers={"Idempotency-Key": key})
    assert answer.status in (400, 422), answer.text
    assert everything(steady) == before


def test_destroying_needs_the_explicit_word(steady):
    for query in ({}, {"destroy": "false"}, {"destroy": ""}, {"destroy": "1"}):
        answer = steady.api.send("DELETE", f"/v1/guests/{GUEST}", query=query)
        assert (answer.status, answer.json["field"]) == (422, "destroy")
