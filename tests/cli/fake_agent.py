"""An agent that answers from a script, on a unix socket, and remembers what it was asked."""
import http.server
import json
import socketserver
import threading


class Answer:
    """What one request gets. `cut` closes the connection instead: "before" any byte of the answer,
    or "within" its body. `hold` is an event to wait for before answering."""

    def __init__(self, status=200, body=None, headers=None, cut=None, hold=None, kind=None):
        self.status, self.headers, self.cut, self.hold = status, headers or {}, cut, hold
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            kind = kind or ("application/problem+json" if status >= 400 else "application/json")
        self.body = body.encode() if isinstance(body, str) else body or b""
        self.kind = kind or "application/json"


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.body = method, path, body
        self.headers = {name.lower(): value for name, value in headers.items()}

    def __str__(self):
        """As golden files show it: what a client chooses at random is left out."""
        lines = [f"{self.method} {self.path}"]
        for name in ("idempotency-key", "content-type", "last-event-id", "if-match"):
            if name in self.headers:
                value = "KEY" if name == "idempotency-key" else self.headers[name]
                lines.append(f"{name}: {value}")
        if self.headers.get("content-type") == "application/json":
            lines.append(json.dumps(json.loads(self.body), sort_keys=True))
        elif self.body:
            lines.append(f"({len(self.body)} bytes)")
        return "\n".join(lines)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

    def _chunks(self):
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _serve(self):
        self.server.agent.begun += 1
        try:
            body = self._body()
        except (OSError, ValueError):
            self.server.agent.broken_uploads += 1
            self.close_connection = True
            return
        answer = self.server.agent.take(Request(self.command, self.path, self.headers, body))
        if answer.hold:
            answer.hold.wait(20)
        self._send(answer)

    def _send(self, answer):
        self.close_connection = bool(answer.cut)
        if answer.cut == "before":
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body[:-1] if answer.cut == "within" else answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("unix", 0)

    def handle_error(self, *_):
        """A client that goes away is no failure of the test."""


class FakeAgent:
    """Answers in the order of `script`; the last one is repeated with repeat=True. What is asked
    beyond the script is answered 500 and fails the test that looks."""

    def __init__(self, path):
        self.path, self.requests, self.script = path, [], []
        self.unexpected, self.repeat = 0, False
        self.begun, self.broken_uploads = 0, 0
        self._lock = threading.Lock()
        self._server = None

    def start(self):
        self._server = _Server(str(self.path), _Handler)
        self._server.agent = self
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.path.unlink(missing_ok=True)

    def answer(self, *script, repeat=False):
        self.script, self.repeat = list(script), repeat

    def take(self, request):
        with self._lock:
            self.requests.append(request)
            if not self.script:
                self.unexpected += 1
                return Answer(500, {"code": "internal", "detail": "not in the script"})
            if self.repeat and len(self.script) == 1:
                return self.script[0]
            return self.script.pop(0)
