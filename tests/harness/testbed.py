"""Network namespaces of one's own: a node, a client and an outside host, joined by veths.

    client 192.0.2.2 ── 192.0.2.1 node 198.51.100.1 ── 198.51.100.2 outside

Nothing in them reaches the machine's own network. The node also has mounts of its own, so that
testbeds side by side do not hold each other's pools, with a /sys that shows its own links. All names
hold a token, by which what is left of one can be told."""
import ctypes
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from .shell import run, wait_for

CLONE_NEWNET = 0x40000000
NODE, CLIENT, OUTSIDE = "node", "client", "outside"
NODE_ADDRESS, CLIENT_ADDRESS = "192.0.2.1", "192.0.2.2"
NODE_OUTSIDE_ADDRESS, OUTSIDE_ADDRESS = "198.51.100.1", "198.51.100.2"

# The node's mounts. Not `ip netns exec`: that leaves the control groups out of its new /sys.
MOUNTS = """
set -e
mount --rbind /sys/fs/cgroup "$1"
mount -t sysfs sysfs /sys
mount --rbind "$1" /sys/fs/cgroup
umount -l "$1"
echo ready
exec sleep infinity
"""

_libc = ctypes.CDLL(None, use_errno=True)


class Testbed:
    __test__ = False  # not a test class, for all its name

    def __init__(self):
        self.token = f"cx{os.getpid():x}{secrets.token_hex(2)}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.token}-", dir="/var/tmp"))
        self.dir.chmod(0o755)
        self._lay_out()
        self.holder = self._hold()
        self._endings = []

    def _lay_out(self):
        for role in (NODE, CLIENT, OUTSIDE):
            run("ip", "netns", "add", self.name(role))
            self.ip(role, "link", "set", "lo", "up")
        self._join(CLIENT, CLIENT_ADDRESS, NODE_ADDRESS)
        self._join(OUTSIDE, OUTSIDE_ADDRESS, NODE_OUTSIDE_ADDRESS)
        self.ip(NODE, "route", "add", "default", "via", OUTSIDE_ADDRESS)
        self.ip(CLIENT, "route", "add", "default", "via", NODE_ADDRESS)

    def _join(self, role, theirs, ours):
        """A veth between the node and another host; both ends are born where they belong."""
        self.ip(NODE, "link", "add", f"to-{role}", "type", "veth", "peer", "name", "uplink",
                "netns", self.name(role))
        self.ip(NODE, "address", "add", f"{ours}/24", "dev", f"to-{role}")
        self.ip(NODE, "link", "set", f"to-{role}", "up")
        self.ip(role, "address", "add", f"{theirs}/24", "dev", "uplink")
        self.ip(role, "link", "set", "uplink", "up")

    def _hold(self):
        """A process that lives in the node and does nothing: it keeps the node's mounts."""
        groups = self.dir / "cgroup"
        groups.mkdir()
        holder = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.name(NODE)}", "unshare", "--mount",
             "--propagation", "private", "sh", "-c", MOUNTS, "mounts", groups],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert holder.stdout.readline() == "ready\n"
        return holder

    def seen(self, path):
        """A path of the node as it is reached from here."""
        return pathlib.Path(f"/proc/{self.holder.pid}/root{path}")

    def name(self, role):
        return f"{self.token}-{role}"

    def ip(self, role, *words):
        return run("ip", "-n", self.name(role), *words)

    def inside(self, role):
        """What to put before a command that shall run there."""
        if role == NODE:
            return ["nsenter", f"--target={self.holder.pid}", "--net", "--mount"]
        return ["nsenter", f"--net=/run/netns/{self.name(role)}"]

    def socket(self, role, family=socket.AF_INET, kind=socket.SOCK_STREAM):
        """A socket that lives in that namespace."""
        return socket_in(f"/run/netns/{self.name(role)}", family, kind)

    def pids(self):
        """Processes that live in one of the namespaces, and all their descendants: guests have
        namespaces of their own, but parents that have not."""
        ours = {os.stat(f"/run/netns/{self.name(role)}").st_ino
                for role in (NODE, CLIENT, OUTSIDE) if self._exists(role)}
        found, children = set(), {}
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                children.setdefault(_parent(entry), []).append(int(entry.name))
                if os.stat(entry / "ns/net").st_ino in ours:
                    found.add(int(entry.name))
            except OSError:
                continue  # it has ended meanwhile
        todo = list(found)
        while todo:
            below = children.get(todo.pop(), [])
            todo += [pid for pid in below if pid not in found]
            found.update(below)
        return found - {os.getpid(), self.holder.pid}

    def _exists(self, role):
        return os.path.exists(f"/run/netns/{self.name(role)}")

    def at_end(self, act):
        """Has act() called before what lives in it is ended."""
        self._endings.append(act)

    def destroy(self):
        """Ends everything that still lives in it and removes it; may be called again."""
        while self._endings:
            self._endings.pop()()
        wait_for("its processes end", self._kill_all)
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
        for device in _loops_below(self.dir):
            run("losetup", "--detach", device, check=False)
        for role in (NODE, CLIENT, OUTSIDE):
            if self._exists(role):
                run("ip", "netns", "delete", self.name(role))
        wait_for("its loop devices are free", lambda: not _loops_below(self.dir))
        shutil.rmtree(self.dir, ignore_errors=True)

    def _kill_all(self):
        pids = self.pids()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)  # when it is a child of ours
            except (ProcessLookupError, ChildProcessError):
                pass
        return not pids

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.destroy()


def socket_in(namespace, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
    """A socket in the network namespace of that path: a socket stays where it was made, so a short
    thread goes there to make it."""
    made = []

    def make():
        with open(namespace) as place:
            if _libc.setns(place.fileno(), CLONE_NEWNET) == 0:
                made.append(socket.socket(family, kind, protocol))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


def _parent(entry):
    return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])


def _loops_below(folder):
    return [f"/dev/{path.parts[3]}"
            for path in pathlib.Path("/sys/block").glob("loop*/loop/backing_file")
            if _text(path).startswith(str(folder))]


def _text(path):
    try:
        return path.read_text()
    except OSError:
        return ""
