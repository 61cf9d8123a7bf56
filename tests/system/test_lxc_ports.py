"""Real containers: published ports, as another host, the node itself and the guests see them."""
import socket
import threading

import pytest
from harness import testbed
from harness.http import fetch

A, B = "a.example.org", "b.example.org"


@pytest.fixture(scope="module")
def pair(lxc):
    """Two guests; A is behind 45000/tcp and, echoing, behind 45000/udp."""
    lxc.api.create(A, ports=[{"guest": 80, "host": 45000, "purpose": "web"},
                             {"guest": 53535, "host": 45000, "proto": "udp", "purpose": "echo"}])
    lxc.api.create(B, ports=[{"guest": 80, "host": 45001, "purpose": "page"}])
    lxc.remember()
    lxc.await_page(45000)
    lxc.await_page(45001)
    for name in (A, B):
        lxc.in_guest(name, "/bin/busybox", "sh", "-c", f"echo {name} >/www/name")
    yield lxc
    for name in (A, B):
        lxc.api.destroy(name)
    lxc.assert_empty()


def who(node, port=45000, role=testbed.CLIENT, address=testbed.NODE_ADDRESS):
    """Which guest answers."""
    return fetch(node.bed.socket(role), (address, port), "/name")[1].decode().strip()


def who_by(node, guest, address, port):
    """Which guest answers another one, or itself."""
    return fetch(node.guest_socket(guest), (address, port), "/name")[1].decode().strip()


def refused(node, port, address=testbed.NODE_ADDRESS):
    with node.bed.socket(testbed.CLIENT) as link:
        link.settimeout(3)
        return link.connect_ex((address, port)) != 0


def test_every_host_that_may_reaches_a_tcp_port(pair):
    assert who(pair) == A
    assert who(pair, 45001) == B
    assert who(pair, role=testbed.OUTSIDE, address=testbed.NODE_OUTSIDE_ADDRESS) == A
    assert who(pair, role=testbed.NODE) == A


def test_a_guest_reaches_itself_and_another_by_the_nodes_address(pair):
    for asker in (A, B):
        assert who_by(pair, asker, testbed.NODE_ADDRESS, 45000) == A


def test_udp_goes_there_and_back(pair):
    with pair.guest_socket(A, socket.SOCK_DGRAM) as server, \
            pair.bed.socket(testbed.CLIENT, kind=socket.SOCK_DGRAM) as client:
        for link in (server, client):
            link.settimeout(60)
        server.bind(("0.0.0.0", 53535))
        client.sendto(b"marco", (testbed.NODE_ADDRESS, 45000))
        data, peer = server.recvfrom(100)
        server.sendto(data + b" polo", peer)
        assert client.recvfrom(100) == (b"marco polo", (testbed.NODE_ADDRESS, 45000))


def test_a_udp_flow_follows_a_switch(pair):
    with pair.guest_socket(A, socket.SOCK_DGRAM) as old, \
            pair.guest_socket(B, socket.SOCK_DGRAM) as new, \
            pair.bed.socket(testbed.CLIENT, kind=socket.SOCK_DGRAM) as client:
        for server in (old, new):
            server.settimeout(60)
            server.bind(("0.0.0.0", 53535))
        client.sendto(b"1", (testbed.NODE_ADDRESS, 45000))
        assert old.recv(10) == b"1"
        pair.api.change("POST", "/v1/ports/udp/45000/switch", {"to": B})
        client.sendto(b"2", (testbed.NODE_ADDRESS, 45000))
        assert new.recv(10) == b"2"
        pair.api.change("POST", "/v1/ports/udp/45000/switch", {"to": A})


def test_a_guests_own_ports_are_not_reached_unpublished(pair):
    assert refused(pair, 80)
    assert refused(pair, 45999)


def test_publish_and_unpublish_take_effect_when_they_are_answered(pair):
    for n in range(10):
        pair.api.change("PUT", f"/v1/guests/{A}/ports/tcp/45100", {"guest": 80})
        assert who(pair, 45100) == A, n
        pair.api.change("DELETE", f"/v1/guests/{A}/ports/tcp/45100")
        assert refused(pair, 45100), n


def test_switching_under_load_refuses_no_connection(pair):
    with pair.nothing_noticed(45000, 45000):
        for n in range(50):
            to = B if n % 2 == 0 else A
            pair.api.change("POST", "/v1/ports/tcp/45000/switch", {"to": to})
            assert who(pair) == to
            assert pair.api.get("/v1/ports/tcp/45000")["name"] == to


def test_an_open_connection_stays_with_its_guest_over_a_switch(pair):
    link = pair.bed.socket(testbed.CLIENT)
    link.settimeout(60)
    link.connect((testbed.NODE_ADDRESS, 45000))
    pair.api.change("POST", "/v1/ports/tcp/45000/switch", {"to": B})
    link.sendall(b"GET /name HTTP/1.0\r\n\r\n")
    answer = b""
    while chunk := link.recv(4096):
        answer += chunk
    link.close()
    assert A.encode() in answer
    assert who(pair) == B
    pair.api.change("POST", "/v1/ports/tcp/45000/switch", {"to": A})


def test_flush_cuts_what_is_open(pair):
    link = pair.bed.socket(testbed.CLIENT)
    link.settimeout(3)
    link.connect((testbed.NODE_ADDRESS, 45000))
    pair.api.change("POST", "/v1/ports/tcp/45000/switch", {"to": B, "flush": True})
    answer = b""
    try:
        link.sendall(b"GET /name HTTP/1.0\r\n\r\n")
        while chunk := link.recv(4096):
            answer += chunk
    except OSError:
        pass
    link.close()
    assert A.encode() not in answer
    pair.api.change("POST", "/v1/ports/tcp/45000/switch", {"to": A})


def test_an_ssh_port_cannot_be_switched(pair):
    port = pair.api.guest(A)["ssh"]["port"]
    assert pair.api.send("POST", f"/v1/ports/tcp/{port}/switch", {"to": B}).status == 409


def test_publishing_at_once_from_many_sides_keeps_all_in_step(pair):
    def publish(base):
        for n in range(10):
            pair.api.change("PUT", f"/v1/guests/{A}/ports/tcp/{base + n}", {"guest": 80})

    threads = [threading.Thread(target=publish, args=(46000 + 10 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for port in range(46000, 46040):
        assert who(pair, port) == A
        pair.api.change("DELETE", f"/v1/guests/{A}/ports/tcp/{port}")
    assert refused(pair, 46000)


def test_a_guest_cannot_speak_under_another_address(pair):
    address = pair.api.guest(A)["network"]["address"]
    # As itself it reaches A; with a foreign address it does not.
    assert who_by(pair, B, address, 80) == A
    own = pair.api.guest(B)["network"]["address"]
    pair.in_guest(B, "/bin/busybox", "sh", "-c",
                  "ip addr flush dev eth0; ip addr add 10.5.77.77/16 dev eth0")
    try:
        with pytest.raises(OSError):
            who_by(pair, B, address, 80)
    finally:
        pair.in_guest(B, "/bin/busybox", "sh", "-c", f"ip addr flush dev eth0; "
                      f"ip addr add {own}/16 dev eth0; ip route add default via 10.5.0.1")
    assert who(pair, 45001) == B
