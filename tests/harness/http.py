"""HTTP over any socket: a unix socket's path, or one that is already made and connected."""
import http.client
import json
import socket


class Connection(http.client.HTTPConnection):
    def __init__(self, address, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self._address = address

    def connect(self):
        if isinstance(self._address, socket.socket):
            self.sock = self._address
        else:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(str(self._address))


def fetch(made, address, path="/", timeout=60):
    """GET over a new socket: (status, body). Closes it."""
    made.settimeout(timeout)
    try:
        made.connect(address)
        connection = Connection(made, timeout)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        made.close()


def request_json(connection, method, path, body=None):
    """One request with JSON both ways; raises on a status of 400 or more."""
    data = None if body is None else json.dumps(body)
    connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 400:
        raise RuntimeError(f"{method} {path}: {answer.status}: {text[:400]!r}")
    return json.loads(text) if text else None
