"""A dockerd of one's own in a testbed's node, beside the machine's if that has one. It can be killed,
be made to hang and come back; its containers run on meanwhile or do not, as dockerd has it. All of it
ends with the testbed."""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys

from . import testbed
from .http import Connection, request_json
from .shell import run, wait_for

HERE = pathlib.Path(__file__).parent
DAEMONS = ("dockerd", "containerd")
SHIM = "containerd-shim"
CLIENT = pathlib.Path(os.environ.get("CORPUS_DOCKER_DIR") or "/usr/bin") / "docker"
LISTS = {"container": ("ps", "--all"), "volume": ("volume", "ls"), "image": ("images", "--all")}


class Dockerd:
    """`bridge`: it makes docker0 and its rules, as on any host. `storage`: overlay2 (in memory),
    btrfs (which bounds layers), vfs. `userns`: containers have user namespaces. `registries`: spoken to without TLS."""

    def __init__(self, bed, bridge=False, storage="overlay2", live_restore=False, userns=False,
                 registries=()):
        self.bed, self.dir, self.pid = bed, bed.dir / "docker", None
        self.socket_path = bed.dir / "docker.sock"  # reached from anywhere
        self.log = bed.dir / "dockerd.log"
        self.group = f"corpus-test-{bed.token}"
        self.options = [f"--storage-driver={storage}", f"--cgroup-parent=/{self.group}",
                        *(() if bridge else ["--no-bridge"]),
                        *(["--live-restore"] if live_restore else ()),
                        *(["--userns-remap=daemon:daemon"] if userns else ()),
                        *(f"--insecure-registry={registry}" for registry in registries)]
        self._reapers = []
        run(*bed.inside(testbed.NODE), HERE / "docker.sh", "lay", self.dir, storage)
        bed.at_end(self.end)
        self.start()

    def start(self):
        """Starts dockerd and waits until it answers."""
        with open(self.log, "a") as log:
            reaper = subprocess.Popen(
                [*self.bed.inside(testbed.NODE), sys.executable, HERE / "reaper.py",
                 HERE / "docker.sh", "run", self.dir, self.socket_path, *self.options],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        self._reapers.append(reaper)
        self.pid = int(reaper.stdout.readline())
        wait_for("dockerd to answer", self._answers)

    def _answers(self):
        if not pathlib.Path(f"/proc/{self.pid}").exists():
            raise RuntimeError(f"dockerd ended: {self.log.read_text()[-2000:]}")
        with contextlib.suppress(OSError):
            return self.request("GET", "/version")

    def restart(self):
        self.kill(signal.SIGTERM)
        self.start()

    def kill(self, how=signal.SIGKILL):
        """Ends dockerd, and its containerd with it."""
        os.kill(self.pid, how)
        wait_for("dockerd to end", lambda: not self.pids(*DAEMONS))

    def stop_process(self):
        """From now on it hangs."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def request(self, method, path, body=None, timeout=60):
        """One request of the Engine API, with JSON both ways."""
        connection = Connection(self.socket_path, timeout)
        try:
            return request_json(connection, method, path, body)
        finally:
            connection.close()

    def docker(self, *words, check=True, **options):
        """What Docker's own command prints; a minute is enough for anything."""
        return run(*self.bed.inside(testbed.NODE), "timeout", "60", CLIENT, "--host",
                   f"unix://{self.socket_path}", *words, check=check, env=self.environment, **options)

    @property
    def environment(self):
        """For Docker's own command: credentials of its own."""
        return os.environ | {"DOCKER_CONFIG": str(self.bed.dir / "docker-config")}

    def containers(self):
        """Names of all containers, ours and others, by id."""
        return {c["Id"]: c["Names"][0][1:] for c in self.request("GET", "/containers/json?all=1")}

    def ours(self):
        """Containers, volumes and images with the label of a guest, and what holds containers that
        dockerd does not know."""
        here = self.containers()
        return [f"{kind} {name}" for kind, list in LISTS.items() for name in self.docker(
            *list, "--quiet", "--filter=label=corpus.guest").split()] + [
                f"shim of {id}" for id in self.shims().values() if id not in here]

    def shims(self):
        """Processes that hold a container each, and its id."""
        words = {pid: _text(pathlib.Path(f"/proc/{pid}/cmdline")).split("\0")
                 for pid in self.pids(SHIM)}
        return {pid: line[line.index("-id") + 1] for pid, line in words.items() if "-id" in line}

    def pids(self, *names):
        """Processes of the node with these names."""
        return [pid for pid in self.bed.pids() if _name(pid) in names]

    def end(self):
        """Ends the daemons, then containers with what holds them, then their control groups. What is
        frozen would not end."""
        wait_for("dockerd's end", lambda: not _kill_all(self.pids(*DAEMONS)))
        for state in pathlib.Path("/sys/fs/cgroup/freezer").glob(f"{self.group}/**/freezer.state"):
            with contextlib.suppress(OSError):
                state.write_text("THAWED")
        wait_for("the containers' end", lambda: not _kill_all(self._contained()))
        for reaper in self._reapers:
            reaper.wait(60)
            reaper.stdout.close()
        for root in pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.group}"):
            for folder, _, _ in os.walk(root, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)

    def _contained(self):
        """The shims, and all processes in groups of containers."""
        groups = pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.group}/**/cgroup.procs")
        return {*self.pids(SHIM),
                *(int(pid) for group in groups for pid in _text(group).split())}


def _name(pid):
    return _text(pathlib.Path(f"/proc/{pid}/comm")).strip()


def _text(path):
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def _kill_all(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids
