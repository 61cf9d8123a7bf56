"""A node: corpusd in a testbed of its own, as it runs on a real machine, with everything it keeps
in the testbed's folder."""
import contextlib
import http.client
import os
import pathlib
import select
import signal
import socket
import sqlite3
import subprocess
import time
import warnings

import yaml

from . import disks, dockerd, oci, rootfs, testbed, virt
from .api import Api, Problem
from .http import fetch
from .shell import run, wait_for
from .traffic import FetchLoop

TOP = pathlib.Path(__file__).parents[2]
BUILD = TOP / os.environ.get("CORPUS_BUILD", "build/test")
CACHE = pathlib.Path(os.environ.get("CORPUS_CACHE", "/var/cache/corpus-dev"))
GIB = 1 << 30
BOOT = 300  # seconds that an emulated machine may take to boot, on a host that does much besides


def program(name):
    """A program of ours in the build that is under test."""
    path = BUILD / "bin" / name
    assert path.exists(), f"{path} is not there: ./dev build"
    return path


def lay_libexec(folder):
    """The helper programs in one folder, as an installation has them: links into the build."""
    folder.mkdir()
    for path in (BUILD / "bin").glob("corpus-*"):
        (folder / path.name).symlink_to(path)
    (folder / "image-build").symlink_to(TOP / "dist/image-build")
    return folder


class Node:
    """`settings` go over the configuration, section by section. With the driver kvm it has a libvirtd
    of its own: virt. With docker a dockerd, of those options: docker."""

    def __init__(self, bed, settings=None, drivers=("lxc",), docker=None):
        self.bed, self.process, self.drivers = bed, None, drivers
        self.virt = virt.Libvirt(bed) if "kvm" in drivers else None
        self.docker = dockerd.Dockerd(bed, **(docker or {})) if "docker" in drivers else None
        self.dir = bed.dir
        self.config = self.dir / "corpusd.yaml"
        self.socket_path = self.dir / "run/agent.sock"
        self.log = self.dir / "corpusd.log"
        self.api = Api(self.socket_path)
        self.environment = {**os.environ, "CORPUS_LIBEXEC": str(lay_libexec(self.dir / "libexec")),
                            "NOTIFY_SOCKET": str(self.dir / "notify")}
        self._guests = set()  # ids of all there ever were, for what must be gone in the end
        self.config.write_text(yaml.safe_dump(self._settings(drivers, settings or {})))

    def _settings(self, drivers, changes):
        settings = {
            "state_dir": str(self.dir / "state"), "run_dir": str(self.dir / "run"),
            "log_dir": str(self.dir / "log"), "node_name": self.bed.token,
            "node_address": testbed.NODE_ADDRESS, "log_level": "debug", "slots": 1000,
            "storage": {"path": str(self.dir / "pool"), "loop_file": str(self.dir / "pool.img"),
                        "loop_size": 4 * GIB, "loop_max": 64 * GIB},
            "net": {"bridge": "lxcbr1", "gateway": "10.5.0.1", "prefix": 16},
            "drivers": [{"name": name} for name in drivers],
        }
        for key, value in changes.items():
            if isinstance(value, dict):
                settings[key] = settings.get(key, {}) | value
            else:
                settings[key] = value
        return settings

    # --- the agent's process ---

    def start(self, faults=None, seconds=60):
        """Starts corpusd and waits until it says that it is ready. With `faults` (CORPUS_FAULT's
        text) it may die instead: then returns False."""
        environment = self.environment | ({"CORPUS_FAULT": faults} if faults else {})
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, open(self.log, "a") as log:
            pathlib.Path(environment["NOTIFY_SOCKET"]).unlink(missing_ok=True)
            notify.bind(environment["NOTIFY_SOCKET"])
            self.process = subprocess.Popen(
                self.bed.inside(testbed.NODE) + [program("corpusd"), "--config", self.config],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            ready = self._await_ready(notify, time.monotonic() + seconds)
        if not ready and not faults:
            raise RuntimeError(f"corpusd ended: exit {self.process.returncode}: {self.tail()}")
        return ready

    def _await_ready(self, notify, deadline):
        life = os.pidfd_open(self.process.pid)
        try:
            while (left := deadline - time.monotonic()) > 0:
                readable, _, _ = select.select([notify, life], [], [], left)
                if notify in readable:
                    if b"READY=1" in notify.recv(4096).split(b"\n"):
                        return True
                elif life in readable:
                    self.process.wait()
                    return False
        finally:
            os.close(life)
        raise TimeoutError(f"corpusd is not ready: {self.tail()}")

    def tail(self):
        """The end of its log, for messages."""
        return "\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    @property
    def pool(self):
        return self.bed.seen(self.dir / "pool")

    @property
    def pid(self):
        return self.process.pid

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def died(self, seconds=60):
        """Waits for corpusd to end by itself (a fault point)."""
        return self.process.wait(seconds)

    def stop(self, seconds=60):
        """A clean stop; guests run on."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill9()
                raise AssertionError(f"corpusd did not end on SIGTERM: {self.tail()}") from None
            assert self.process.returncode == 0, f"exit {self.process.returncode}: {self.tail()}"

    def restart(self, faults=None):
        """Stops it, when it lives, and starts it; with faults it may die before it is ready."""
        self.stop()
        return self.start(faults)

    def configure(self, **changes):
        """Changes settings; they count from the next start."""
        settings = yaml.safe_load(self.config.read_text()) | changes
        self.config.write_text(yaml.safe_dump(settings))

    def pretend_boot(self):
        """Stops it, ends all guests, and has the next start take the machine for just booted."""
        pids = [guest["pid"] for guest in self.api.guests() if guest["pid"]]
        self.stop()
        for pid in [*pids, *self.monitors()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for("the guests to be gone", lambda: not self.bed.pids() & {*pids, *self.monitors()})
        self.forget_boot()

    def forget_boot(self):
        """Has its next start take the machine for just booted."""
        with contextlib.closing(sqlite3.connect(self.dir / "state/state.db")) as db:
            db.execute("UPDATE settings SET value = 'another' WHERE key = 'boot_id'")
            db.commit()

    def driver_pid(self, name):
        found = [d for d in self.api.get("/v1/node")["drivers"] if d["name"] == name]
        return found[0].get("pid", 0)

    # --- images, guests, traffic ---

    def add_busybox(self):
        """The image busybox, of each kind that its drivers take."""
        wait_for("its drivers to say what they take", lambda: all(
            "image_kind" in driver for driver in self.api.get("/v1/node")["drivers"]))
        if self.virt:
            self.api.import_image("busybox", disks.busybox_tar(CACHE), kind="disk")
        if self.docker:
            self.api.import_image("busybox", oci.busybox_tar(CACHE), kind="oci")
        if set(self.drivers) - {"kvm", "docker"}:
            self.api.import_image("busybox", rootfs.busybox_tar(self.dir / "busybox.tar"))

    def clear(self):
        """Destroys all guests through the API."""
        for guest in self.api.guests():
            try:
                self.api.destroy(guest["name"])
            except Problem as problem:
                if problem.status != 404:  # it went meanwhile
                    raise

    def fetch(self, port, address=testbed.NODE_ADDRESS, role=testbed.CLIENT, timeout=60):
        """The page behind a published port, as another host sees it."""
        status, body = fetch(self.bed.socket(role), (address, port), timeout=timeout)
        assert status == 200
        return body

    def await_page(self, port, page=rootfs.PAGE, seconds=60):
        """Waits for that page; None: for any."""
        def look():
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.fetch(port, timeout=5) == page or page is None
        wait_for(f"the page on port {port}", look, seconds)

    def await_inside(self, name, seconds=BOOT):
        """Waits until commands can be run in a machine."""
        def look():
            with contextlib.suppress(Problem):
                return self.api.exec(name, "true")["status"] == 0
        wait_for(f"a way into {name}", look, seconds)

    def await_boot(self, name, port=None, page=None):
        """Waits until a machine that boots serves its page, when it has a port for that, and commands
        can be run in it. Emulated on a machine that is busy, a kernel has been seen to stand still
        while it booted: once that is forgiven, and told."""
        def boot():
            if port:
                self.await_page(port, page, BOOT)
            self.await_inside(name)

        try:
            boot()
        except TimeoutError as late:
            warnings.warn(f"{name} did not boot, and is started once more: {late}", stacklevel=2)
            self.api.act(name, "kill")
            self.api.act(name, "start")
            boot()

    def in_guest(self, name, *argv, check=True):
        """Runs a command inside a guest, as its root; returns what it printed."""
        pid = self.api.guest(name)["pid"]
        return run("nsenter", "--target", pid, "--all", "--setuid", "0", "--setgid", "0", *argv,
                   check=check, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})

    def begin_in_guest(self, name, *argv):
        """Starts a command in a guest that is limited and counted like the guest's own; returns it
        as a subprocess.Popen."""
        pid = self.api.guest(name)["pid"]
        groups = list(_cgroups_of(pid))

        def join():
            for group in groups:
                pathlib.Path(group, "cgroup.procs").write_text("0")

        return subprocess.Popen(
            ["nsenter", "--target", str(pid), "--all", "--setuid", "0", "--setgid", "0", *argv],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=join,
            start_new_session=True)

    def guest_socket(self, name, kind=socket.SOCK_STREAM):
        """A socket that lives in a guest's network."""
        return testbed.socket_in(f"/proc/{self.api.guest(name)['pid']}/ns/net", kind=kind)

    def port_of(self, name, purpose):
        return next(p["host"] for p in self.api.guest(name)["ports"]
                    if p.get("purpose") == purpose)

    @contextlib.contextmanager
    def nothing_noticed(self, *ports, page=rootfs.PAGE):
        """Within it these pages are fetched all the time; a single failure fails the test."""
        loops = [FetchLoop(self, port, page) for port in ports]
        for loop in loops:
            loop.start()
        try:
            yield loops
        finally:
            for loop in loops:
                loop.stop()
        for loop in loops:
            assert loop.done > 0 and not loop.failures, \
                f"port {loop.port}: {len(loop.failures)} of {loop.done}: {loop.failures[:3]}"

    @property
    def client(self):
        """The environment of `corpus` as this node's people have it."""
        return {"CORPUS_SOCKET": str(self.socket_path), "PATH": os.environ["PATH"], "TERM": "xterm"}

    # --- what there is on the host, seen without the agent ---

    def holders(self, id=""):
        """The processes that hold sessions, or that of one."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_text().split("\0")
            except OSError:
                continue
            if words[0].endswith("corpus-session") and words[1].startswith(str(self.dir)) and \
                    words[1].endswith(id):
                found.append(int(path.parent.name))
        return found

    def volumes(self):
        return _entries(self.pool / "volumes")

    def snapshots(self):
        """Names of snapshots by the id of their guest."""
        folder = self.pool / "snapshots"
        return {id: names for id in _entries(folder) if (names := _entries(folder / id))}

    def links(self):
        """Links on the bridge."""
        lines = [line for kind in ("veth", "tun") for line in self.bed.ip(
            testbed.NODE, "-o", "link", "show", "type", kind).splitlines()]
        others = ("to-", "veth") if self.docker else ("to-",)  # its own containers' have such names
        return [name for name in (line.split(": ")[1].split("@")[0] for line in lines)
                if not name.startswith(others)]

    def rules(self):
        return run(*self.bed.inside(testbed.NODE), "nft", "list", "ruleset")

    def guest_cgroups(self):
        """Control groups that bear the id of a guest of this node."""
        return [os.path.join(root, folder) for root, folders, _ in os.walk("/sys/fs/cgroup")
                for folder in folders if any(id in folder for id in self._guests)]

    def monitors(self):
        """Processes of guests: all of the node's but daemons, corpusd and what descends from it. A
        monitor may look like the driver that made it, but is nobody's child. Containers of dockerd
        are told by it."""
        found, parents = {}, {}
        for pid in self.bed.pids():
            with contextlib.suppress(OSError):
                words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                parents[pid] = int(stat[1])
                if words[0] and stat[0] != "Z" and not _is_daemon(words):
                    found[pid] = words[0]
        tops = {self.pid, *(self.docker.shims() if self.docker else ())}
        return {pid: name for pid, name in found.items()
                if not _descends(pid, parents, tops) and os.path.exists(f"/proc/{pid}")}

    def remember(self):
        """Notes the ids of the guests there are now."""
        self._guests.update(guest["id"] for guest in self.api.guests())

    def assert_empty(self):
        """Nothing of any guest is left on the host; what belongs to the node itself may be."""
        if self.virt or self.docker:
            wait_for("what carries commands into guests ends", lambda: not self._carriers())
        left = {"volumes": self.volumes(), "links": self.links(), "processes": self.monitors(),
                "control groups": self.guest_cgroups(),
                "incoming": _entries(self.pool / "incoming"),
                "domains": self.virt.domains() if self.virt else [],
                "of Docker": self.docker.ours() if self.docker else [],
                "rules": [line.strip() for line in self.rules().splitlines()
                          if any(id in line for id in self._guests)]}
        left = {kind: names for kind, names in left.items() if names}
        assert not left, f"left of destroyed guests: {left}"

    def _carriers(self):
        """Processes that try for a while yet to reach a guest that has just gone."""
        return [pid for pid, name in self.monitors().items()
                if "corpus-driver-kvm" in name or "corpus-driver-docker" in name]

    def assert_only(self, *names):
        """Just these guests are there, by the agent's word and on the host."""
        guests = self.api.guests()
        assert sorted(g["name"] for g in guests) == sorted(names)
        assert sorted(self.volumes()) == sorted(g["id"] for g in guests)
        assert len(self.links()) == len([g for g in guests if g["state"] == "running"])
        ids = {guest["id"] for guest in guests}
        left = [path for path in self.guest_cgroups() if not any(id in path for id in ids)]
        assert not left, f"left of destroyed guests: {left}"

    # --- the end ---

    def retire(self):
        """The good end: destroys all guests through the API, stops, asserts that nothing is left."""
        if self.process.poll() is not None:
            self.start()
        self.remember()
        self.clear()
        assert self.api.guests() == []
        self.assert_empty()
        self.stop()

    def destroy(self):
        """The end whatever happened: all that is left of the node goes with its testbed."""
        self._guests.update(self.volumes())
        if self.process and self.process.poll() is None:
            self.kill9()
        self.bed.destroy()
        for path in sorted(self.guest_cgroups(), key=len, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(path)


def _cgroups_of(pid):
    """The directories of a process's control groups, in v1 and v2."""
    mounts = {}
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        words, tail = line.split(" - ")
        kind, _, options = tail.split(" ", 2)
        if kind == "cgroup2":
            mounts[""] = words.split()[4]
        elif kind == "cgroup":
            mounts.update((option, words.split()[4]) for option in options.split(","))
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        controller = controllers.split(",")[0]
        if controller in mounts and path != "/":
            yield mounts[controller] + path


def _descends(pid, parents, tops):
    while pid in parents and pid not in tops:
        pid = parents[pid]
    return pid in tops


def _is_daemon(words):
    """Of the node itself, by its command line."""
    daemons = ("dnsmasq", "reaper.py", *virt.DAEMONS, *dockerd.DAEMONS)
    return any(os.path.basename(word) in daemons for word in words[:2])


def _entries(path):
    return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []


