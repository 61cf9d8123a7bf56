"""Registries of images in a testbed: a real one that lets in one user, and one that does what no
registry should (odd_registry.py). Both speak without TLS: Dockerd(registries=[…]) goes along."""
import base64
import contextlib
import json
import os
import pathlib
import subprocess
import sys

from . import testbed
from .http import fetch
from .shell import wait_for

PORT = 5000
ADDRESSES = {testbed.NODE: "127.0.0.1", testbed.OUTSIDE: testbed.OUTSIDE_ADDRESS}
USER, PASSWORD = "puller", "a secret word"
# What `htpasswd -B` says of them.
HTPASSWD = f"{USER}:$2b$04$bD/EoNVJZz6dTYh3DGaGHO9efk/t0Hb6YTaZERgglqnl6uzWkymkW\n"
CONFIG = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/blobs}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
auth: {{htpasswd: {{realm: corpus, path: {folder}/htpasswd}}}}
"""


def address(role=testbed.OUTSIDE, port=PORT):
    """Where a registry will be, for dockerds that start before it."""
    return f"{ADDRESSES[role]}:{port}"


def credentials(registry, user=USER, password=PASSWORD):
    """As they are in Docker's config.json."""
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"auths": {registry: {"auth": auth}}}


def command(folder, where):
    """What runs a registry that keeps all in that folder, which it makes."""
    folder.mkdir()
    (folder / "htpasswd").write_text(HTPASSWD)
    (folder / "config.yaml").write_text(CONFIG.format(folder=folder, address=where))
    return ["docker-registry", "serve", str(folder / "config.yaml")]


class Registry:
    """Docker's own, in the node or outside."""

    def __init__(self, bed, role=testbed.OUTSIDE, port=PORT):
        self.bed, self.address = bed, address(role, port)
        folder = bed.dir / f"registry-{port}"
        with open(bed.dir / f"registry-{port}.log", "w") as log:
            self._process = subprocess.Popen(
                [*bed.inside(role), *command(folder, self.address)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        bed.at_end(self.end)
        wait_for("the registry to ask who we are", lambda: self._status(role, port) == 401)

    def _status(self, role, port):
        with contextlib.suppress(OSError):
            return fetch(self.bed.socket(role), (ADDRESSES[role], port), "/v2/")[0]

    def push(self, dockerd, image, repository):
        """An image that dockerd has, which loses it when it has no other name; returns the reference
        by which it can be had again."""
        reference = f"{self.address}/{repository}"
        config = pathlib.Path(dockerd.environment["DOCKER_CONFIG"], "config.json")
        config.parent.mkdir(exist_ok=True)
        config.write_text(json.dumps(credentials(self.address)))
        try:
            dockerd.docker("tag", image, reference)
            dockerd.docker("push", reference)
            dockerd.docker("rmi", reference)
        finally:
            config.unlink()
        return reference

    def end(self):
        self._process.kill()
        self._process.wait()


class OddRegistry:
    """`fault`: one of odd_registry.FAULTS; any repository and tag may be asked for."""

    def __init__(self, bed, fault, image, role=testbed.OUTSIDE, port=PORT):
        self.address = address(role, port)
        self._process = subprocess.Popen(
            [*bed.inside(role), sys.executable, "-m", "harness.odd_registry", self.address, fault,
             image], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[1])})
        bed.at_end(self.end)
        self.wait_for("ready")

    def wait_for(self, *words):
        """Until it has said lines with all of these words: paths that were asked for, in any order."""
        left = set(words)
        while left:
            line = self._process.stdout.readline()
            assert line, f"the registry ended before {left}"
            left = {word for word in left if word not in line}

    def end(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


if __name__ == "__main__":
    FOLDER, WHERE = sys.argv[1:]
    os.execvp("docker-registry", command(pathlib.Path(FOLDER), WHERE))
