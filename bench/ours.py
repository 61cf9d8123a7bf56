"""corpus itself, through its API, as the others are measured through theirs."""
import concurrent.futures
import json
import os
import pathlib

import docker
from harness.http import Connection, request_json
from harness.node import Node, program
from harness.shell import run


MACHINE = {"cpus": 1, "memory": "256MiB"}


class Ours:
    title = "corpus"

    def __init__(self, bed, drivers=("lxc",), **options):
        self.node = Node(bed, {"log_level": "warning"}, drivers, **options)
        self.node.start()
        self.node.add_busybox()

    def call(self, method, path, body=None):
        connection = Connection(self.node.socket_path, 120)
        try:
            return request_json(connection, method, path, body)
        finally:
            connection.close()

    def text(self, path):
        connection = Connection(self.node.socket_path, 120)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200
            return answer.read()
        finally:
            connection.close()

    def create(self, name):
        done = self.call("POST", "/v1/guests?wait=60", {"name": name, "image": "busybox",
                                                        "storage": {"size": "5GB"}})
        assert done["state"] == "done", done

    def machine(self, name, start=True):
        """A virtual machine, as create() makes a container."""
        self.done("POST", "/v1/guests?wait=60", {
            "name": name, "image": "busybox", "driver": "kvm", "start": start,
            "limits": MACHINE, "storage": {"size": "5GiB"}})

    def container(self, name):
        """A container of Docker's, with the limits that the peer's have."""
        self.done("POST", "/v1/guests?wait=60", {
            "name": name, "image": docker.IMAGE, "driver": "docker", "limits": docker.LIMITS,
            "storage": {"size": "5GB"}})

    def act(self, name, verb):
        self.done("POST", f"/v1/guests/{name}/actions/{verb}?wait=60")

    def destroy(self, name):
        done = self.call("DELETE", f"/v1/guests/{name}?destroy=true&wait=60")
        assert done["state"] == "done", done

    def list(self):
        return self.call("GET", "/v1/guests")["guests"]

    def list_text(self):
        return self.text("/v1/guests")

    def publish(self, port, name):
        self.call("PUT", f"/v1/guests/{name}/ports/tcp/{port}?wait=60", {"guest": 80})

    def unpublish(self, port, name):
        self.call("DELETE", f"/v1/guests/{name}/ports/tcp/{port}?wait=60")

    def switch(self, port, name):
        self.call("POST", f"/v1/ports/tcp/{port}/switch?wait=60", {"to": name})

    def resize(self, name, size):
        have = self.call("GET", f"/v1/guests/{name}")["storage"]["size"]
        verb = "enlarge" if size > have else "trim"
        self.call("POST", f"/v1/guests/{name}/storage/{verb}?wait=60", {"to": size})

    def fill_storage(self, name, megabytes):
        """Puts that much into a guest's files, and onto the disk."""
        self.node.in_guest(name, "sh", "-c",
                           f"dd if=/dev/urandom of=/root/fill bs=1M count={megabytes}; sync")

    def exec(self, name):
        """One command, from the request to its exit status and output."""
        said = self.call("POST", f"/v1/guests/{name}/exec", {"command": ["/bin/busybox", "true"]})
        assert said["status"] == 0, said

    def exec_command(self, name):
        """The same by the command line."""
        run(program("corpus"), "exec", name, "/bin/busybox", "true",
            env=dict(os.environ, CORPUS_SOCKET=str(self.node.socket_path)))

    def stats(self):
        """What all guests use; asked anew when it is older than a second."""
        return json.loads(self.stats_text())["guests"]

    def stats_text(self):
        return self.text("/v1/stats")

    def metrics(self):
        return self.text("/metrics")

    def snapshot(self, name, snapshot):
        self.done("POST", f"/v1/guests/{name}/snapshots?wait=60", {"name": snapshot})

    def delete_snapshot(self, name, snapshot):
        self.done("DELETE", f"/v1/guests/{name}/snapshots/{snapshot}?wait=60")

    def restore(self, name, snapshot):
        """Of a running guest: it runs again afterwards."""
        self.done("POST", f"/v1/guests/{name}/snapshots/{snapshot}/restore?wait=60")

    def clone(self, name, new):
        self.done("POST", f"/v1/guests/{name}/actions/clone?wait=60", {"name": new})

    def done(self, method, path, body=None):
        done = self.call(method, path, body)
        assert done["state"] == "done", done

    def pid(self):
        return self.node.pid

    def driver_pid(self, driver="lxc"):
        return self.node.driver_pid(driver)

    def monitors(self):
        """Each is the parent of its guest's init."""
        return [parent(guest["pid"]) for guest in self.list() if guest["pid"]]

    def close(self):
        """Side by side, so that hundreds of guests do not take longer to go than to come."""
        if self.node.process.poll() is None:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(self.destroy, [guest["name"] for guest in self.list()]))
        self.node.retire()


def parent(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
