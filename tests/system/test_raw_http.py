"""Bytes that are no good HTTP: the agent answers or hangs up, and serves the next one."""
import socket
import struct

import pytest


def exchange(node, data, end=False):
    """Sends bytes as they are; returns what came back until the agent hung up or paused."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(60)
        link.connect(str(node.socket_path))
        link.sendall(data)
        if end:
            link.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while chunk := link.recv(65536):
                answer += chunk
                if b"\r\n\r\n" in answer and not end:
                    break
        except (TimeoutError, ConnectionError):
            pass
        return answer


@pytest.fixture(autouse=True)
def serves_on(fake):
    yield
    assert fake.api.get("/v1/node")["mode"] == "active"


@pytest.mark.parametrize("data", [
    b"\r\n\r\n", b"GET\r\n\r\n", b"GET /v1/node\r\n\r\n", b"GET /v1/node HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01", b"GET /v1/node HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/node HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100000 + b"\r\n\r\n",
    b"GET /v1/node HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
    b"POST /v1/guests HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/guests HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/guests HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n{}\r\n0\r\n\r\n",
    bytes(range(256)) * 16], ids=range(13))
def test_malformed_http_is_no_success_and_no_crash(fake, data):
    answer = exchange(fake, data, end=True)
    assert not answer.startswith(b"HTTP/1.1 2"), answer[:200]


def test_a_body_cut_short_changes_nothing(fake):
    exchange(fake, b"POST /v1/guests HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   b'Content-Length: 100\r\n\r\n{"name": "cut.example.org", "image": "b', end=True)
    assert fake.api.guests() == []


def test_an_upload_cut_short_leaves_no_image(fake):
    data = (fake.dir / "busybox.tar").read_bytes()
    head = f"PUT /v1/images/cut HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\n" \
           f"Content-Length: {len(data)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(fake.socket_path))
        link.sendall(head.encode() + data[:len(data) // 2])
        # Reset rather than closed, as by a client that was killed.
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    imports = [o for o in fake.api.get("/v1/operations")["operations"] if o["target"] == "cut"]
    for operation in imports:
        assert fake.api.wait(operation["id"])["state"] in ("failed", "cancelled")
    assert [image["name"] for image in fake.api.get("/v1/images")["images"]] == ["busybox"]


def test_a_chunked_body_is_understood(fake):
    body = b'{"mode": "active"}'
    answer = exchange(fake, b"PATCH /v1/node HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
                      % (len(body), body))
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]


def test_two_hundred_idle_connections_do_not_keep_the_next_one_out(fake):
    idle = []
    try:
        for _ in range(200):
            link = socket.socket(socket.AF_UNIX)
            idle.append(link)
            link.settimeout(60)
            link.connect(str(fake.socket_path))
            link.sendall(b"GET /v1/node HTTP/1.1\r\n")
        assert fake.api.get("/v1/node/slots")["used"] == 0
    finally:
        for link in idle:
            link.close()
