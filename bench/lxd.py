"""The peer LXD: Debian's own, run by hand in a testbed's node, on btrfs, with its bridge, NAT, DHCP
and a quota on each guest: the same work that corpus does.

Its guests include every file of /usr/share/lxc/config/common.conf.d; lxcfs, which the package drags
in, puts a hook there that sleeps 0.5 s at each stop. That is not LXD's doing, so it gets a copy of
the folder without it."""
import json
import os
import pathlib
import signal
import subprocess
import urllib.parse

from harness import testbed
from harness.http import Connection, request_json
from harness.rootfs import busybox_tar
from harness.shell import run, wait_for

METADATA = b"""architecture: x86_64
creation_date: 1700000000
properties: {description: busybox, os: busybox, release: "1"}
"""


class Lxd:
    title = "LXD 5.0"

    def __init__(self, bed, pool):
        self.bed, self.dir = bed, bed.dir / "lxd"
        self.dir.mkdir()
        self.environment = dict(os.environ, LXD_DIR=str(self.dir / "var"),
                                LXD_LXC_TEMPLATE_CONFIG=str(self._templates()))
        (self.dir / "var").mkdir()
        self.process = self._start()
        wait_for("LXD answers", self._ready, 60)
        self._configure(pool)

    def _templates(self):
        copy = self.dir / "templates"
        run("cp", "-r", "/usr/share/lxc/config", copy)
        (copy / "common.conf.d/00-lxcfs.conf").unlink(missing_ok=True)
        for path in copy.glob("*.conf"):
            path.write_text(path.read_text().replace("/usr/share/lxc/config", str(copy)))
        return copy

    def _start(self):
        log = open(self.dir / "log", "w")
        return subprocess.Popen(self.bed.inside(testbed.NODE) + ["lxd", "--group", "root"],
                                env=self.environment, stdout=log, stderr=log,
                                stdin=subprocess.DEVNULL)

    def _ready(self):
        if self.process.poll() is not None:
            raise RuntimeError("lxd ended: " + (self.dir / "log").read_text()[-800:])
        try:
            return self.call("GET", "/1.0")
        except OSError:
            return None

    def call(self, method, path, body=None):
        """One request; waits for the operation that it began."""
        connection = Connection(self.dir / "var/unix.socket", 120)
        answer = request_json(connection, method, path, body)
        if answer.get("type") == "async":
            done = request_json(connection, "GET", answer["operation"] + "/wait")["metadata"]
            if done["status_code"] != 200:
                raise RuntimeError(f"{method} {path}: {done['err']}")
            answer = {"metadata": done["metadata"]}
        connection.close()
        return answer["metadata"]

    def _configure(self, pool):
        self.call("POST", "/1.0/storage-pools",
                  {"name": "pool", "driver": "btrfs", "config": {"source": str(pool / "lxd")}})
        self.call("POST", "/1.0/networks", {"name": "lxdbr0", "config": {
            "ipv4.address": "10.9.0.1/16", "ipv4.nat": "true", "ipv6.address": "none"}})
        archive = busybox_tar(self.dir / "image.tar", "rootfs/", [("metadata.yaml", METADATA)])
        connection = Connection(self.dir / "var/unix.socket", 120)
        connection.request("POST", "/1.0/images", archive.read_bytes(),
                           {"Content-Type": "application/octet-stream"})
        operation = json.loads(connection.getresponse().read())["operation"]
        done = request_json(connection, "GET", operation + "/wait")["metadata"]
        if done["status_code"] != 200:
            raise RuntimeError("LXD image: " + done["err"])
        self.image = done["metadata"]["fingerprint"]

    # --- what is measured ---

    def create(self, name):
        """From nothing to running."""
        self.call("POST", "/1.0/instances", {
            "name": name, "source": {"type": "image", "fingerprint": self.image},
            "devices": {
                "root": {"type": "disk", "path": "/", "pool": "pool", "size": "5GB"},
                "eth0": {"type": "nic", "network": "lxdbr0"}}})
        self.call("PUT", f"/1.0/instances/{name}/state", {"action": "start"})

    def destroy(self, name):
        """From running to nothing."""
        self.call("PUT", f"/1.0/instances/{name}/state", {"action": "stop", "force": True})
        self.call("DELETE", f"/1.0/instances/{name}")

    def list(self):
        """All guests with state and addresses."""
        return json.loads(self.list_text())["metadata"]

    def list_text(self):
        return self.text("/1.0/instances?recursion=2")

    def get(self, name):
        return self.call("GET", f"/1.0/instances/{name}")

    def exec(self, name):
        """One command, from the request to its exit status; its output is recorded to files."""
        self.run_in(name, "/bin/busybox", "true")

    def run_in(self, name, *words):
        done = self.call("POST", f"/1.0/instances/{name}/exec", {
            "command": words, "wait-for-websocket": False, "record-output": True,
            "interactive": False})
        assert done["return"] == 0, done

    def exec_command(self, name):
        run("lxc", "exec", name, "--", "/bin/busybox", "true",
            env=dict(self.environment, HOME=str(self.dir)))

    def fill_storage(self, name, megabytes):
        self.run_in(name, "sh", "-c", f"dd if=/dev/urandom of=/root/fill bs=1M count={megabytes}; sync")

    def snapshot(self, name, snapshot):
        self.call("POST", f"/1.0/instances/{name}/snapshots", {"name": snapshot})

    def delete_snapshot(self, name, snapshot):
        self.call("DELETE", f"/1.0/instances/{name}/snapshots/{snapshot}")

    def restore(self, name, snapshot):
        """Of a running guest: it runs again afterwards."""
        self.call("PUT", f"/1.0/instances/{name}", {"restore": snapshot})

    def text(self, path):
        connection = Connection(self.dir / "var/unix.socket", 120)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def metrics(self):
        return self.text("/1.0/metrics")

    def publish(self, host_port, name):
        address = self.address(name)
        self.call("POST", "/1.0/networks/lxdbr0/forwards", {
            "listen_address": "192.0.2.1", "ports": []}) if not self._forwarding() else None
        forward = self.call("GET", "/1.0/networks/lxdbr0/forwards/192.0.2.1")
        forward["ports"].append({"protocol": "tcp", "listen_port": str(host_port),
                                 "target_port": "80", "target_address": address})
        self.call("PUT", "/1.0/networks/lxdbr0/forwards/192.0.2.1",
                  {key: forward[key] for key in ("config", "description", "ports")})

    def _forwarding(self):
        found = self.call("GET", "/1.0/networks/lxdbr0/forwards")
        return any(path.endswith(urllib.parse.quote("192.0.2.1")) for path in found)

    def address(self, name):
        def look():
            state = self.call("GET", f"/1.0/instances/{name}/state")
            link = (state["network"] or {}).get("eth0", {"addresses": []})
            return next((a["address"] for a in link["addresses"] if a["family"] == "inet"), None)
        return wait_for(f"{name} has an address", look, 20)

    def resize(self, name, size):
        instance = self.call("GET", f"/1.0/instances/{name}")
        instance["devices"]["root"]["size"] = str(size)
        self.call("PUT", f"/1.0/instances/{name}", instance)

    def monitors(self):
        return [pid for pid in self.bed.pids() if b"[lxc monitor]" in _command_line(pid)]

    def close(self):
        """Ends LXD; its guests and their monitors end with the testbed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()



def _command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
