#!/usr/bin/python3
"""A whole driver in little: its guests are sleeping processes.

It passes the conformance suite, and is the worked example of docs/WRITING-A-DRIVER.md. A real one
would talk to a hypervisor where this one starts and ends processes.
"""
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

PROTOCOL = 1


class Failure(Exception):
    def __init__(self, code, message, field=None):
        super().__init__(message)
        self.error = {"code": code, "message": message}
        if field:
            self.error["field"] = field


class Driver:
    """One guest is STATE_DIR/ID.json, and RUN_DIR/ID while it runs: "PID START"."""

    def __init__(self, config):
        self.state, self.run = config["state_dir"], config["run_dir"]
        os.makedirs(self.state, exist_ok=True)
        os.makedirs(self.run, exist_ok=True)
        self.told = {s["id"]: s for s in self.list({})["statuses"]}

    # --- what a guest is

    def path(self, folder, call, suffix=""):
        if not re.fullmatch("[0-9a-f]{12}", call["id"]):
            raise Failure("invalid", "not an id", "id")
        return os.path.join(folder, call["id"] + suffix)

    def facts(self, call):
        try:
            with open(self.path(self.state, call, ".json")) as f:
                return json.load(f)
        except FileNotFoundError:
            raise Failure("not_found", "there is no guest " + call["id"])

    @staticmethod
    def process(pid):
        """State and start time of a process; the two, with the pid, name it for ever."""
        try:
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rpartition(")")[2].split()
            return fields[0], fields[19]
        except OSError:
            return "X", None

    def pid(self, call):
        try:
            with open(self.path(self.run, call)) as f:
                pid, start = f.read().split()
        except (FileNotFoundError, ValueError):
            return 0
        state, now = self.process(pid)
        return int(pid) if now == start and state not in "ZX" else 0

    def observe(self, call):
        pid = self.pid(call)
        return {"id": call["id"], "state": "running" if pid else "stopped", "pid": pid}

    # --- the calls

    def probe(self, call):
        return {"info": {"name": "example", "version": "example 1", "capabilities": [],
                         "usable": True, "problem": ""}}

    def create(self, call):
        guest = call["guest"]
        path = self.path(self.state, guest, ".json")
        with open(path + ".new", "w") as f:
            json.dump(guest, f)
            f.flush()
            os.fsync(f.fileno())
        os.rename(path + ".new", path)
        return {}

    def start(self, call):
        facts = self.facts(call)
        if not self.pid(call):
            if not os.path.lexists(facts["rootfs"] + "/sbin/init"):
                raise Failure("driver_failed", "no /sbin/init in " + facts["rootfs"])
            stubborn = os.path.lexists(facts["rootfs"] + "/etc/ignore-shutdown")
            ignore = [signal.SIGTERM] if stubborn else []
            child = subprocess.Popen(
                ["sleep", "infinity"], start_new_session=True, stdin=subprocess.DEVNULL,
                preexec_fn=lambda: [signal.signal(s, signal.SIG_IGN) for s in ignore])
            with open(self.path(self.run, call) + ".new", "w") as f:
                f.write(f"{child.pid} {self.process(child.pid)[1]}")
            os.rename(f.name, self.path(self.run, call))
        return {"statuses": [self.observe(call)]}

    @staticmethod
    def send_signal(pid, number):
        with contextlib.suppress(ProcessLookupError):  # it may end between the look and the signal
            os.kill(pid, number)

    def end(self, call, first, patience):
        pid, until = self.pid(call), time.monotonic() + patience
        if pid:
            self.send_signal(pid, first)
        while self.pid(call):
            if time.monotonic() > until:
                self.send_signal(pid, signal.SIGKILL)
            time.sleep(0.005)
        if os.path.exists(self.path(self.run, call)):
            os.unlink(self.path(self.run, call))
        return {}

    def stop(self, call):
        self.facts(call)
        return self.end(call, signal.SIGTERM, call["timeout_ms"] / 1000)

    def kill(self, call):
        self.facts(call)
        return self.end(call, signal.SIGKILL, 0)

    def destroy(self, call):
        self.end(call, signal.SIGKILL, 0)
        path = self.path(self.state, call, ".json")
        if os.path.exists(path):
            os.unlink(path)
        return {}

    def status(self, call):
        self.facts(call)
        return {"statuses": [self.observe(call)]}

    def list(self, call):
        names = [n for n in os.listdir(self.state) if re.fullmatch(r"[0-9a-f]{12}\.json", n)]
        return {"statuses": [self.observe({"id": n[:12]}) for n in names]}

    # --- events

    def changes(self):
        now = {s["id"]: s for s in self.list({})["statuses"]}
        changed = [s for i, s in now.items()
                   if s != self.told.get(i, {"id": i, "state": "stopped", "pid": 0})]
        self.told = now
        return [{"event": s} for s in changed]


CALLS = {"probe", "create", "start", "stop", "kill", "destroy", "status", "list"}


def answer(driver, call):
    try:
        if call["call"] not in CALLS:
            raise Failure("unsupported", "this driver cannot " + call["call"])
        reply = getattr(driver, call["call"])(call)
    except Failure as failure:
        reply = {"error": failure.error}
    return dict(reply, serial=call["serial"])


def main():
    wire = socket.socket(fileno=3)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended guests leave no zombies

    def send(message):
        wire.send(json.dumps(message).encode())

    hello = json.loads(wire.recv(65536))["hello"]
    if hello["protocol"] != PROTOCOL:
        send({"hello": {"protocol": PROTOCOL},
              "error": {"code": "unsupported", "message": "another version"}})
        return 1
    driver = Driver(hello["config"])
    send({"hello": {"protocol": PROTOCOL, "name": "example"}})
    while True:
        if select.select([wire], [], [], 0.05)[0]:
            text = wire.recv(65536)
            if not text:
                return 0  # the agent is gone: guests run on
            send(answer(driver, json.loads(text)))
        for event in driver.changes():
            send(event)


if __name__ == "__main__":
    sys.exit(main())
