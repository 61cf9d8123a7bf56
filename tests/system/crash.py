"""Crashing the agent on purpose: verbs, their steps, and what must hold afterwards."""
import contextlib
import http.client
import itertools
import os
import pathlib
import signal
from concurrent.futures import ThreadPoolExecutor

from harness.api import Problem
from harness.rootfs import PAGE
from harness.shell import wait_for

FINAL = ("done", "failed", "cancelled")
LIVE = ("running", "frozen")  # has processes
HANGUPS = (OSError, http.client.HTTPException)


class Crash:
    """One change of guest `name` during which the agent dies; `prepare` brings the guest where the
    change is legal."""

    def __init__(self, verb, method, path, body=None, query=None, prepare=None):
        self.verb, self.method, self.path = verb, method, path
        self.body, self.query, self.prepare = body, query or {}, prepare

    def steps(self, node):
        """As a dry run names them: nothing here has to know them."""
        query = self.query | {"dry_run": "true"}
        return node.api.call(self.method, self.path, self.body, query=query).json["steps"]

    def send(self, node, key):
        """Asks for the change; a connection that the agent's death cuts is no surprise."""
        with contextlib.suppress(*HANGUPS):
            return node.api.send(self.method, self.path, self.body, query=self.query | {"wait": 60},
                                 headers={"Idempotency-Key": key})
        return None


_keys = itertools.count()


def new_key():
    return f"crash-{os.getpid()}-{next(_keys)}"


def die_and_recover(node, crash, faults):
    """The change, the death by those faults, the recovery. Returns the operation, for ever ended;
    None when nothing died."""
    key = new_key()
    node.restart(faults=faults)
    if crash.send(node, key) is not None and node.process.poll() is None:
        return None
    node.died()
    node.start()
    settle(node)
    answer = crash.send(node, key)
    assert answer is not None and answer.status < 500 or answer.json["code"] == "driver_failed", answer
    ended = settle(node)
    same = [o for o in ended if o["id"] == answer.json.get("id", answer.json.get("operation"))]
    assert len(same) == 1 and same[0]["state"] in ("done", "failed"), (faults, answer.text)
    assert same[0]["verb"] == crash.verb
    return same[0]


def die_at_every_step(node, crash):
    """Of one change: the agent dies when each of its steps has been taken, before it is written down,
    so each is taken again; before that when it has been accepted, and once more when it has ended."""
    key = new_key()
    points = ["accepted", *(f"{step}.after" for step in crash.steps(node)), "end"]
    node.restart(faults=f"ops.{crash.verb}.{points[0]}=kill@1")
    assert crash.send(node, key) is None
    for point in points[1:]:
        node.died()
        node.start(faults=f"ops.{crash.verb}.{point}=kill@1")
    node.died()
    node.start()
    settle(node)
    answer = crash.send(node, key)
    assert answer.status == 200 and answer.json["state"] == "done", answer.text


def driver_dies(node, crash):
    """For each step of a change: the driver dies when it is about to begin and again while it runs;
    the change is repeated or undone, and its end is yielded."""
    crash.prepare(node)
    for step in crash.steps(node):
        crash.prepare(node)
        node.restart(faults=f"ops.{crash.verb}.{step}.before=wait:200")
        driver = wait_for("the driver process", lambda: node.driver_pid("lxc"))
        begun = node.api.send(crash.method, crash.path, crash.body, query=crash.query,
                              headers={"Idempotency-Key": new_key()})
        assert begun.status == 202, begun.text
        os.kill(driver, 9)
        done = node.api.wait(begun.json["id"])
        assert done["state"] in ("done", "failed"), done
        wait_for("another driver process",
                 lambda: node.driver_pid("lxc") not in (0, driver))
        assert_whole(node)
        yield done


def settle(node):
    """Waits until every operation has ended; returns them, newest first."""
    for operation in node.api.get("/v1/operations")["operations"]:
        if operation["state"] not in FINAL:
            node.api.wait(operation["id"])
    return node.api.get("/v1/operations")["operations"]


def assert_whole(node):
    """What the agent says and what the host holds are the same; nothing is lost or doubled."""
    wait_for("all guests are seen", lambda: all(
        bool(guest.get("pid")) == (guest["state"] in LIVE) for guest in node.api.guests()))
    node.remember()
    guests = node.api.guests()
    ids = {guest["id"] for guest in guests}
    assert set(node.volumes()) == ids, (node.volumes(), ids)
    running = [g for g in guests if g["state"] in LIVE]
    assert all(g["state"] in ("running", "frozen", "stopped") for g in guests), guests
    assert len(node.links()) == len(running), (node.links(), running)
    assert node.snapshots() == {guest["id"]: sorted(s["name"] for s in guest["snapshots"])
                                for guest in guests if guest["snapshots"]}
    addresses = [guest["network"]["address"] for guest in guests]
    assert len(set(addresses)) == len(addresses)
    ports = node.api.get("/v1/ports")["ports"]
    assert sorted((p["proto"], p["host"]) for p in ports) == \
        sorted((p["proto"], p["host"]) for guest in guests for p in guest["ports"])
    rules = node.rules()
    for guest in guests:
        for port in guest["ports"]:
            assert str(port["host"]) in rules, f"port {port} is not in the rules"
    slots = node.api.get("/v1/node/slots")
    assert (slots["used"], slots["reserved"]) == (len(guests), 0), slots


def assert_pages(node, *names):
    """Published web pages of the running ones answer."""
    for name in names:
        with contextlib.suppress(Problem):
            guest = node.api.guest(name)
            for port in guest["ports"]:
                if port.get("purpose") == "web" and guest["state"] == "running":
                    node.await_page(port["host"], PAGE)


@contextlib.contextmanager
def beside(node, bystander):
    """The node with a guest on port 45079 that shall notice nothing."""
    node.api.create(bystander, ports=[{"guest": 80, "host": 45079, "purpose": "web"}])
    node.await_page(45079)
    yield node
    node.restart()
    assert node.api.guest(bystander)["state"] == "running"


# --- what else dies ---

def driver_pids(node):
    """Drivers' processes, what watches for them, and those of their calls."""
    found = []
    for pid in node.bed.pids():
        with contextlib.suppress(OSError):
            if pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("corpus-driver"):
                found.append(pid)
    return found


def agent_and_driver_die(node, name):
    """One after the other, while a guest runs on."""
    guest = node.api.guest(name)

    def is_seen():
        return node.api.guest(name).get("pid") == guest["pid"]
    node.kill9()
    node.start()
    wait_for("it is seen running", is_seen)
    driver = node.driver_pid(guest["driver"])
    kill(driver)
    wait_for("another driver process",
             lambda: node.driver_pid(guest["driver"]) not in (0, driver))
    wait_for("it is seen running", is_seen)


def kill(*pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def bring_back(daemon):
    """A daemon of the node that was killed, or hangs."""
    if pathlib.Path(f"/proc/{daemon.pid}").exists():
        daemon.resume()
    else:
        daemon.start()


# --- many changes at once ---

def ready_fleet(node, changes):
    """A guest for each kind of change, ready for it: the changes by the names of their guests."""
    fleet = {f"{kind}.example.org": change for kind, change in changes.items()}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda item: item[1].prepare(node, item[0]), fleet.items()))
    return fleet


def look(node, operation):
    return node.api.get(f"/v1/operations/{operation['id']}")


def is_told(node, operation):
    """It has been done, or has failed and says why; taking back may wait for a daemon."""
    seen = look(node, operation)
    if seen["error"]:
        assert seen["error"]["code"] in ("unavailable", "timeout", "driver_failed"), seen
        assert seen["error"]["detail"], seen
    return seen["state"] == "done" or seen["error"]
