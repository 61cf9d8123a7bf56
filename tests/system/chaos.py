"""Random-instant kills: ./dev chaos [MINUTES] [--seed N]

Some clients change guests at random, each request with a key and repeated until it is answered;
meanwhile the agent and its driver are killed at random instants. A bystander's page is fetched all
the time. Now and then all come to rest, and what the agent says is held against the host. The same
seed makes the same choices (the instants of a real machine differ)."""
import argparse
import contextlib
import os
import random
import signal
import sys
import threading
import time

from crash import HANGUPS, assert_pages, assert_whole, settle
from harness.node import Node
from harness.testbed import Testbed

BYSTANDER = "bystander.example.org"
CLIENTS, GUESTS, ROUND = 3, 4, 15  # threads, guests of each, kills between two inspections


class Client(threading.Thread):
    """Changes guests of its own at random."""

    def __init__(self, node, number, seed):
        super().__init__(daemon=True)
        self.node, self.number, self.random = node, number, random.Random(f"{seed}-{number}")
        self.answered, self.wrong = {}, []  # operation by key
        self.pause, self.resting, self.end = threading.Event(), threading.Event(), threading.Event()

    def run(self):
        while not self.end.is_set():
            if self.pause.is_set():
                self.resting.set()
                time.sleep(0.02)
                continue
            self.resting.clear()
            self.one_change()
        self.resting.set()

    def one_change(self):
        name = f"c{self.number}-{self.random.randrange(GUESTS)}.example.org"
        path = f"/v1/guests/{name}"
        other = f"c{self.number}-{self.random.randrange(GUESTS)}.example.org"
        snapshot = self.random.choice(("a", "b"))
        port = 46000 + self.number * 100 + self.random.randrange(20)
        method, path, body, query = self.random.choice([
            ("PUT", path, {"image": "busybox", "storage": {"size": "200MiB"}}, {}),
            ("PUT", path, {"image": "busybox", "storage": {"size": "200MiB"}}, {}),
            ("POST", f"{path}/actions/start", None, {}), ("POST", f"{path}/actions/stop", None, {}),
            ("POST", f"{path}/actions/restart", None, {}), ("POST", f"{path}/actions/kill", None, {}),
            ("PUT", f"{path}/ports/tcp/{port}", {"guest": 80}, {}),
            ("DELETE", f"{path}/ports/tcp/{port}", None, {}),
            ("POST", f"{path}/storage/enlarge", {"size": "10MiB"}, {}),
            ("POST", f"{path}/storage/trim", {"size": "10MiB"}, {}),
            ("POST", f"{path}/actions/freeze", None, {}), ("POST", f"{path}/actions/thaw", None, {}),
            ("POST", f"{path}/actions/rename", {"name": other}, {}),
            ("POST", f"{path}/actions/clone", {"name": other}, {}),
            ("POST", f"{path}/snapshots", {"name": snapshot}, {}),
            ("POST", f"{path}/snapshots/{snapshot}/restore", None, {}),
            ("DELETE", f"{path}/snapshots/{snapshot}", None, {}),
            ("PATCH", path, {"labels": {"n": str(self.random.randrange(99))}}, {}),
            ("DELETE", path, None, {"destroy": "true"})])
        key = f"chaos-{self.number}-{self.random.getrandbits(64):x}"
        while not self.end.is_set():
            with contextlib.suppress(*HANGUPS):
                answer = self.node.api.send(method, path, body, query=query | {"wait": 30},
                                            headers={"Idempotency-Key": key})
                if answer.status not in (202, 503):
                    self.note(key, answer)
                    return
            time.sleep(0.02)

    def note(self, key, answer):
        operation = answer.json.get("id", answer.json.get("operation"))
        if operation:
            self.answered[key] = operation
        if answer.status >= 500 and answer.json["code"] not in ("driver_failed", "unavailable"):
            self.wrong.append(answer.text)


def kill_something(node, choice):
    """The agent, or its driver's process."""
    if choice.random() < 0.3:
        with contextlib.suppress(*HANGUPS):
            pid = node.driver_pid("lxc")
            if pid:
                os.kill(pid, signal.SIGKILL)
        return "driver"
    node.kill9()
    node.start()
    return "agent"


def inspect(node, clients):
    """Everything at rest: whole, each key with one operation, all answered."""
    for client in clients:
        client.pause.set()
    for client in clients:
        assert client.resting.wait(120), "a client is still waiting for its answer"
    settle(node)
    assert_whole(node)
    assert_pages(node, BYSTANDER)
    for client in clients:
        assert not client.wrong, client.wrong[:3]
        operations = list(client.answered.values())
        assert len(set(operations)) == len(operations), "two keys with one operation"
        client.pause.clear()


def chaos(node, minutes, seed):
    choice, kills = random.Random(seed), {"agent": 0, "driver": 0}
    node.api.create(BYSTANDER, ports=[{"guest": 80, "host": 45079, "purpose": "web"}])
    node.await_page(45079)
    clients = [Client(node, number, seed) for number in range(CLIENTS)]
    deadline = time.monotonic() + minutes * 60
    with node.nothing_noticed(45079) as loops:
        for client in clients:
            client.start()
        while time.monotonic() < deadline:
            for _ in range(ROUND):
                time.sleep(choice.uniform(0, 0.5))
                kills[kill_something(node, choice)] += 1
            inspect(node, clients)
            changes = sum(len(client.answered) for client in clients)
            print(f"  {kills['agent']} kills of the agent, {kills['driver']} of its driver, "
                  f"{changes} operations, {loops[0].done} pages, all whole", flush=True)
        for client in clients:
            client.end.set()
        for client in clients:
            client.join(60)


def main():
    parser = argparse.ArgumentParser(prog="./dev chaos")
    parser.add_argument("minutes", nargs="?", type=float, default=2)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"  seed {options.seed}", flush=True)
    node = Node(Testbed())
    try:
        node.start()
        node.add_busybox()
        chaos(node, options.minutes, options.seed)
        node.retire()
    except BaseException:
        print(node.tail())
        raise
    finally:
        node.destroy()
    print("1 passed, 0 failed")


if __name__ == "__main__":
    sys.exit(main())
