"""A client of the API that holds every answer against docs/openapi.yaml."""
import contextlib
import dataclasses
import http.client
import json
import os
import time
import urllib.parse

from .contract import contract
from .http import Connection
from .stream import Stream

WAIT = 180  # seconds that a change may take before a test calls it hung


class Problem(Exception):
    """An answer of 400 or more: what it says is in `answer` and, for short, code and field."""

    def __init__(self, what, answer):
        super().__init__(f"{what}: {answer.status} {answer.text}")
        self.answer, self.status = answer, answer.status
        self.code, self.field = answer.json["code"], answer.json.get("field")
        self.detail = answer.json["detail"]


def refused(code, field, call, *args, **kwargs):
    """Calls what must be refused so; what it is told."""
    try:
        call(*args, **kwargs)
    except Problem as problem:
        assert (problem.code, problem.field) == (code, field), problem
        return problem.detail
    raise AssertionError("it was not refused")


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict  # names in lower case
    text: str
    json: object = None

    @property
    def type(self):
        return self.headers.get("content-type", "").split(";")[0]

    @property
    def etag(self):
        return self.headers["etag"]


class Api:
    def __init__(self, socket_path):
        self.socket_path = socket_path

    def send(self, method, path, body=None, headers=None, query=None, timeout=WAIT + 30):
        """One request, whatever the answer is. `body`: JSON, or bytes as they are, or a file."""
        with self.unanswered(method, path, body, headers, query, timeout) as connection:
            answer = _read(connection.getresponse())
        if method != "HEAD":  # it has no body
            contract().check(method, path, answer)
        return answer

    @contextlib.contextmanager
    def unanswered(self, method, path, body=None, headers=None, query=None, timeout=WAIT + 30):
        """As send(), but only asks; whoever leaves without the answer hangs up."""
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes) and not hasattr(body, "read"):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        with contextlib.closing(Connection(self.socket_path, timeout)) as connection:
            with contextlib.suppress(BrokenPipeError):  # it is answered before its end, then
                connection.request(method, target, body, headers)
            yield connection

    def send_as(self, uid, method, path, body=None, **options):
        """As send(), for another user: whoever connects is who asks (SO_PEERCRED)."""
        with _as_user(uid, self.socket_path) as here:
            return Api(here).send(method, path, body, **options)

    def call(self, method, path, body=None, **options):
        """As send(), but an answer of 400 or more is raised as Problem."""
        answer = self.send(method, path, body, **options)
        if answer.status >= 400:
            raise Problem(f"{method} {path}", answer)
        return answer

    def get(self, path, **query):
        return self.call("GET", path, query=query).json

    def change(self, method, path, body=None, wait=WAIT, headers=None, **query):
        """A change, and its end: the operation, or what says that nothing had to change."""
        answer = self.call(method, path, body, headers=headers, query={"wait": wait, **query})
        if answer.status == 202:
            raise TimeoutError(f"{method} {path}: not done within {wait} s: {answer.text}")
        return answer.json

    def begin(self, method, path, body=None, headers=None, **query):
        """A change, not waited for: the operation."""
        answer = self.call(method, path, body, headers=headers, query=query)
        assert answer.status == 202 and answer.headers["location"].endswith(answer.json["id"])
        return answer.json

    def plan(self, method, path, body=None):
        return self.call(method, path, body, query={"dry_run": "true"}).json

    def wait(self, operation_id, seconds=WAIT):
        """The operation when it has ended, however it did."""
        deadline = time.monotonic() + seconds
        while True:
            operation = self.get(f"/v1/operations/{operation_id}", wait=10)
            if operation["state"] in ("done", "failed", "cancelled"):
                return operation
            if time.monotonic() > deadline:
                raise TimeoutError(f"operation not ended within {seconds} s: {operation}")

    # --- sessions ---

    def exec(self, name, *command, **fields):
        """Runs a command to its end: what it said and how it ended."""
        return self.call("POST", f"/v1/guests/{name}/exec",
                         {"command": list(command), **fields}).json

    def exec_stream(self, name, *command, early=b"", **fields):
        """Runs a command and is attached to it."""
        return Stream(self.socket_path, "POST", f"/v1/guests/{name}/exec",
                      {"command": list(command), **fields}, early)

    def attach(self, session, **query):
        query = "?" + urllib.parse.urlencode(query) if query else ""
        return Stream(self.socket_path, "GET", f"/v1/sessions/{session}/attach{query}")

    def console(self, name):
        return Stream(self.socket_path, "GET", f"/v1/guests/{name}/console")

    def session(self, id):
        return self.get(f"/v1/sessions/{id}")

    def sessions(self, **query):
        return self.get("/v1/sessions", **query)["sessions"]

    def events(self, after=None, header=None, timeout=60):
        return Events(self.socket_path, after, header, timeout)

    # --- what most tests do ---

    def guest(self, name):
        return self.get(f"/v1/guests/{name}")

    def guests(self, **query):
        return self.get("/v1/guests", **query)["guests"]

    def create(self, name, image="busybox", **fields):
        """Creates a guest and returns it."""
        done = self.change("POST", "/v1/guests", {"name": name, "image": image, **fields})
        return done["result"]

    def act(self, name, verb, body=None, **options):
        return self.change("POST", f"/v1/guests/{name}/actions/{verb}", body, **options)

    def destroy(self, name):
        return self.change("DELETE", f"/v1/guests/{name}", destroy="true")

    def import_image(self, name, path, **query):
        with open(path, "rb") as file:
            return self.change("PUT", f"/v1/images/{name}", file,
                               headers={"Content-Type": "application/x-tar"}, **query)


class Events:
    """The event stream; iterating yields events, which are held against their schema too."""

    def __init__(self, socket_path, after, header, timeout):
        self._connection = Connection(socket_path, timeout)
        path = "/v1/events" + ("" if after is None else f"?after={after}")
        headers = {} if header is None else {"Last-Event-ID": str(header)}
        self._connection.request("GET", path, headers=headers)
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200, self._answer.read()
        assert self._answer.headers["Content-Type"].startswith("text/event-stream")

    def __iter__(self):
        record = {}
        while True:
            try:
                line = self._answer.readline().decode()
            except (http.client.HTTPException, ConnectionError):
                return
            if line in ("", "\n"):
                if "data" in record:
                    yield self._checked(record)
                record = {}
                if not line:
                    return
            elif not line.startswith(":"):
                key, _, value = line.rstrip("\n").partition(": ")
                record[key] = value

    def _checked(self, record):
        event = json.loads(record["data"])
        contract().check_schema("event", event, {"$ref": "#/components/schemas/Event"})
        assert event["type"] == record["event"]
        assert event["type"] == "gap" or event["number"] == int(record["id"])
        return event

    def until(self, condition):
        """Reads on until an event for which condition(event) holds; returns all read."""
        seen = []
        for event in self:
            seen.append(event)
            if condition(event):
                return seen
        raise AssertionError(f"the stream ended first: {seen[-3:]}")

    def close(self):
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _read(response):
    text = response.read().decode()
    headers = {name.lower(): value for name, value in response.getheaders()}
    answer = Answer(response.status, headers, text)
    if "json" in answer.type and text:
        answer.json = json.loads(text)
    return answer


@contextlib.contextmanager
def _as_user(uid, path):
    """Another effective user; yields the socket's path from the folder it is in, since folders
    above it may be closed to them."""
    before = os.getcwd()
    os.chdir(os.path.dirname(path))
    os.seteuid(uid)
    try:
        yield os.path.basename(path)
    finally:
        os.seteuid(0)
        os.chdir(before)
