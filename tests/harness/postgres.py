"""A client of PostgreSQL, as much as tests need: one connection that is trusted, simple queries
(PostgreSQL 15 documentation, 55.2 and 55.7: version 3.0 of the protocol)."""
import struct

VERSION = 3 << 16


class Refused(Exception):
    """The server said no; its words."""


class Connection:
    """Over a socket that is connected already."""

    def __init__(self, made, user="postgres", database="postgres"):
        self.socket, self._bytes = made, bytearray()
        said = f"user\0{user}\0database\0{database}\0\0".encode()
        self.socket.sendall(struct.pack(">II", len(said) + 8, VERSION) + said)
        self.answer()

    def ask(self, sql):
        """Sends a query; answer() has what comes of it."""
        body = sql.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack(">I", len(body) + 4) + body)

    def answer(self):
        """The rows of an answer, as lists of text."""
        rows, refusal = [], None
        while True:
            kind, body = self._message()
            if kind == b"D":
                rows.append(_fields(body))
            elif kind == b"E":
                refusal = body.replace(b"\0", b" ").decode()
            if kind == b"Z" or (refusal and "FATAL" in refusal):
                break
        if refusal:
            raise Refused(refusal)
        return rows

    def query(self, sql):
        self.ask(sql)
        return self.answer()

    def _message(self):
        kind, size = struct.unpack(">cI", self._take(5))
        return kind, self._take(size - 4)

    def _take(self, count):
        while len(self._bytes) < count:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed by the server")
            self._bytes += more
        taken = bytes(self._bytes[:count])
        del self._bytes[:count]
        return taken

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _fields(body):
    (count,), at, fields = struct.unpack_from(">H", body), 2, []
    for _ in range(count):
        size, = struct.unpack_from(">i", body, at)
        at += 4
        fields.append(None if size < 0 else body[at:at + size].decode())
        at += max(size, 0)
    return fields
