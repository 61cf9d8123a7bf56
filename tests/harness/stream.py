"""A client of corpus-stream/1 (docs/streams.md)."""
import json
import socket
import struct
import time

STDIN, STDIN_EOF, RESIZE, SIGNAL, DETACH = 1, 2, 3, 4, 5
STDOUT, STDERR, EXIT, NOTICE = 0x11, 0x12, 0x13, 0x14


class Refused(Exception):
    """The answer was no 101; what it says is in `problem`."""

    def __init__(self, status, problem):
        super().__init__(f"{status}: {problem}")
        self.status, self.problem = status, problem


class Stream:
    """An upgraded connection. `early` is sent with the request, in one piece."""

    def __init__(self, socket_path, method, target, body=None, early=b"", timeout=60):
        self.timeout = timeout
        self.out, self.err, self.notices, self.exit = bytearray(), bytearray(), [], None
        self.ended = False
        self._bytes = bytearray()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(str(socket_path))
        data = b"" if body is None else json.dumps(body).encode()
        head = (f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                "Upgrade: corpus-stream/1\r\n")
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        self.sock.sendall(head.encode() + b"\r\n" + data + early)
        self._read_head()

    def _read_head(self):
        while b"\r\n\r\n" not in self._bytes:
            more = self.sock.recv(65536)
            assert more, f"closed after {self._bytes!r}"
            self._bytes += more
        head, self._bytes = self._bytes.split(b"\r\n\r\n", 1)
        status = int(head.split()[1])
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:]]
        self.headers = {name.lower(): value for name, value in lines}
        if status != 101:
            while len(self._bytes) < int(self.headers.get("content-length", 0)):
                self._bytes += self.sock.recv(65536)
            self.sock.close()
            raise Refused(status, json.loads(self._bytes or b"{}"))
        self.session = self.headers["location"].rsplit("/", 1)[1]

    # --- to the command ---

    def send(self, type, payload=b""):
        self.sock.sendall(struct.pack(">BI", type, len(payload)) + payload)

    def type(self, text):
        for at in range(0, len(text), 65536):
            self.send(STDIN, text[at:at + 65536])

    def resize(self, rows, columns):
        self.send(RESIZE, struct.pack(">HH", rows, columns))

    # --- from it ---

    def step(self, deadline):
        """Takes one more frame; False at the end of the connection."""
        while True:
            if len(self._bytes) >= 5:
                type, size = struct.unpack(">BI", self._bytes[:5])
                if len(self._bytes) >= 5 + size:
                    payload = bytes(self._bytes[5:5 + size])
                    del self._bytes[:5 + size]
                    self._take(type, payload)
                    return True
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"out {self.out[-300:]!r} err {self.err[-300:]!r}")
            self.sock.settimeout(left)
            try:
                more = self.sock.recv(1 << 17)
            except ConnectionResetError:
                more = b""
            finally:
                self.sock.settimeout(self.timeout)
            if not more:
                self.ended = True
                return False
            self._bytes += more

    def _take(self, type, payload):
        if type == STDOUT:
            self.out += payload
        elif type == STDERR:
            self.err += payload
        elif type == EXIT:
            assert self.exit is None
            self.exit = json.loads(payload)
        else:
            assert type == NOTICE, f"frame of type {type}"
            self.notices.append(json.loads(payload))

    def until(self, condition, seconds=180):
        deadline = time.monotonic() + seconds
        while not condition(self):
            if not self.step(deadline):
                raise AssertionError(f"it ended first: out {self.out!r} err {self.err!r} "
                                     f"exit {self.exit} notices {self.notices}")
        return self

    def until_out(self, text, seconds=180):
        return self.until(lambda s: text in s.out, seconds)

    def to_end(self, seconds=180):
        """Reads all there is; returns how it ended (None: the connection was cut)."""
        deadline = time.monotonic() + seconds
        while self.step(deadline):
            pass
        return self.exit

    def detach(self):
        self.send(DETACH)
        self.to_end()
        self.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
