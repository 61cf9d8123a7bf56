"""docs/openapi.yaml as something to hold answers against."""
import functools
import pathlib
import re
import warnings

import jsonschema
import yaml

PAGE = pathlib.Path(__file__).parents[2] / "docs/openapi.yaml"
METHODS = ("get", "post", "put", "patch", "delete")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")

_formats = jsonschema.FormatChecker(formats=["ipv4"])


@_formats.checks("date-time")
def _is_time(value):
    return not isinstance(value, str) or TIME.match(value) is not None


class Contract:
    def __init__(self):
        self.document = yaml.safe_load(PAGE.read_text())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._resolver = jsonschema.RefResolver.from_schema(self.document)
        self._paths = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + "$"), item)
                       for path, item in self.document["paths"].items()]

    def operations(self):
        """(method, path, operation) of all there are."""
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    yield method.upper(), path, item[method]

    def operation(self, method, path):
        """What is described for a request; None when nothing is."""
        for pattern, item in self._paths:
            if pattern.match(path):
                return item.get(method.lower())
        return None

    def resolve(self, node):
        """The node itself, or what it refers to."""
        return self._resolver.resolve(node["$ref"])[1] if "$ref" in node else node

    def check(self, method, path, answer):
        """AssertionError when an answer is not as described."""
        operation = self.operation(method, path)
        where = f"{method} {path} → {answer.status}"
        if operation is None or answer.status >= 400:
            self._check_problem(where, answer)
            return
        described = operation["responses"].get(str(answer.status))
        assert described, f"{where}: this status is not described"
        described = self.resolve(described)
        content = described.get("content", {})
        assert not content or answer.type in content, \
            f"{where}: Content-Type {answer.type}, not {list(content)}"
        if answer.type == "application/json":
            self.check_schema(where, answer.json, content[answer.type]["schema"])

    def _check_problem(self, where, answer):
        assert answer.type == "application/problem+json", f"{where}: {answer.type} {answer.text}"
        self.check_schema(where, answer.json, {"$ref": "#/components/schemas/Problem"})
        assert answer.json["status"] == answer.status, f"{where}: says {answer.json['status']}"
        if answer.status in (429, 503):
            assert "retry-after" in answer.headers, f"{where}: without Retry-After"

    def check_schema(self, where, value, schema):
        validator = jsonschema.Draft202012Validator(schema, resolver=self._resolver,
                                                    format_checker=_formats)
        errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}"
                  for e in validator.iter_errors(value)]
        assert not errors, f"{where}: not as docs/openapi.yaml describes: {errors[:3]} {value}"


@functools.cache
def contract():
    return Contract()
