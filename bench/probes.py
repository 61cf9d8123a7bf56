"""What looks on while the agent is restarted: at the API, and at a guest."""
import select
import socket
import struct
import threading
import time

from harness import testbed
from harness.http import Connection, request_json


class Probe(threading.Thread):
    """Does look() over and over until it is stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self._end = threading.Event()

    def run(self):
        while not self._end.wait(self.pause_s):
            self.look()

    def stop(self):
        self._end.set()
        self.join()


class Away(Probe):
    """The longest time between two answers of the API."""
    pause_s = 0.002

    def __init__(self, socket_path):
        super().__init__()
        self._path, self._last, self.longest_s = socket_path, None, 0.0

    def look(self):
        connection = Connection(self._path, 5)
        try:
            request_json(connection, "GET", "/v1/node")
        except (OSError, RuntimeError, ValueError):
            return
        finally:
            connection.close()
        now = time.monotonic()
        self.longest_s = max(self.longest_s, now - (self._last or now))
        self._last = now


class Pings(Probe):
    """Echo requests from the node to one address, 100 a second, and how many were not answered."""
    pause_s = 0.01
    WAIT_S = 1

    def __init__(self, namespace, address):
        super().__init__()
        self._socket = testbed.socket_in(f"/run/netns/{namespace}", kind=socket.SOCK_RAW,
                                         protocol=socket.IPPROTO_ICMP)
        self._address, self.sent, self._seen = address, 0, set()

    @property
    def lost(self):
        return self.sent - len(self._seen)

    def look(self):
        self._socket.sendto(echo_request(self.sent), (self._address, 0))
        self.sent += 1
        self._collect(0)

    def stop(self):
        super().stop()
        deadline = time.monotonic() + self.WAIT_S
        while self.lost and (left := deadline - time.monotonic()) > 0:
            self._collect(left)
        self._socket.close()

    def _collect(self, seconds):
        while select.select([self._socket], [], [], seconds)[0]:
            packet = self._socket.recv(2048)
            header = packet[(packet[0] & 0x0F) * 4:][:8]
            kind, _, _, identity, sequence = struct.unpack("!BBHHH", header)
            if kind == 0 and identity == IDENTITY:
                self._seen.add(sequence)
            seconds = 0


IDENTITY = 0x6378


def echo_request(sequence):
    """RFC 792."""
    head = struct.pack("!BBHHH", 8, 0, 0, IDENTITY, sequence)
    total = sum(struct.unpack("!4H", head))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBHHH", 8, 0, ~(total + (total >> 16)) & 0xFFFF, IDENTITY, sequence)
