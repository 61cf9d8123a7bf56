"""The samples that the other tests answer with are what docs/openapi.yaml describes, and what the
command asks for is described there as well."""
import pathlib
import re

import jsonschema
import pytest
import yaml
from cli import samples
from cli.test_commands import CASES

PAGE = yaml.safe_load((pathlib.Path(__file__).parents[2] / "docs/openapi.yaml").read_text())

SAMPLES = [
    ("Guest", samples.GUEST), ("Guest", samples.BARE_GUEST), ("Guest", samples.KEYED_GUEST),
    ("Guest", samples.CONTAINER_GUEST),
    *(("AuditRecord", record) for record in samples.AUDIT["records"]), ("Operation", samples.OPERATION),
    ("Operation", samples.operation(result=samples.GUEST)),
    ("Operation", samples.operation(state="failed")),
    ("Operation", samples.operation(state="cancelled")), ("PortList", samples.PORTS),
    ("Snapshot", samples.SNAPSHOTS[0]), ("Image", samples.DISK_IMAGE), ("Image", samples.OCI_IMAGE), ("Session", samples.SESSION),
    ("Image", samples.IMAGE), ("Storage", samples.STORAGE), ("Node", samples.NODE),
    ("Slots", samples.SLOTS), ("Doctor", samples.DOCTOR), ("Event", samples.EVENTS[0]), ("Event", samples.EVENTS[1]),
    ("Problem", samples.problem("no_room", 507, "full", field="size")),
]


def check(schema, value):
    jsonschema.Draft202012Validator(schema | {"components": PAGE["components"]}).validate(value)


@pytest.mark.parametrize("name, sample", SAMPLES)
def test_samples_are_as_described(name, sample):
    check({"$ref": f"#/components/schemas/{name}"}, sample)


def described(method, path):
    for template, item in PAGE["paths"].items():
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method.lower() in item:
            return item, item[method.lower()]
    raise AssertionError(f"{method} {path} is not described")


def resolve(node):
    if "$ref" not in node:
        return node
    found = PAGE
    for key in node["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return found


def check_request(request):
    """Its path, query parameters and JSON body are described."""
    path, _, query = request.path.partition("?")
    item, operation = described(request.method, path)
    parameters = [resolve(p) for p in item.get("parameters", []) + operation.get("parameters", [])]
    names = {p["name"] for p in parameters if p["in"] == "query"}
    assert {pair.partition("=")[0] for pair in query.split("&") if pair} <= names
    if request.headers.get("content-type") != "application/json":
        return
    body = resolve(operation["requestBody"])["content"]["application/json"]
    check(body["schema"], yaml.safe_load(request.body))


# What is deliberately wrong in a value, for the agent to refuse.
WRONG = {"create-invalid"}


@pytest.mark.parametrize("case", [case for case in CASES if case.name not in WRONG],
                         ids=lambda case: case.name)
def test_requests_are_as_described(case, agent, corpus):
    agent.answer(*case.answers())
    corpus(*case.words, stdin=case.stdin)
    for request in agent.requests:
        check_request(request)
