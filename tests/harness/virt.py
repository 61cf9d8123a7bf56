"""A libvirtd of one's own in a testbed's node, beside the machine's if that has one: with what it
keeps in memory, its configuration that of a fresh installation, and no /dev/kvm. It can be killed, be
made to hang and come back; its machines run on meanwhile. All of it ends with the testbed."""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys

from . import testbed
from .shell import run, wait_for

HERE = pathlib.Path(__file__).parent
DAEMONS = ("virtlogd", "virtlockd", "libvirtd")


class Libvirt:
    uri = "qemu:///system"
    test_uri = "test+unix:///default"  # what is in it lives while any connection to it is open
    socket_path = "/run/libvirt/libvirt-sock"  # in the node's mounts

    def __init__(self, bed):
        self.bed, self.dir, self.pid = bed, bed.dir / "libvirt", None
        self.log = bed.dir / "libvirtd.log"
        self._reapers = []
        run(*bed.inside(testbed.NODE), HERE / "libvirt.sh", self.dir)
        bed.at_end(self.end)
        for name in DAEMONS[:-1]:
            self._begin(name)
        self.start()

    def _begin(self, name):
        with open(self.log, "a") as log:
            reaper = subprocess.Popen(
                [*self.bed.inside(testbed.NODE), sys.executable, HERE / "reaper.py", name],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        self._reapers.append(reaper)
        return int(reaper.stdout.readline())

    def start(self):
        """Starts libvirtd and waits until it answers."""
        self.pid = self._begin("libvirtd")
        wait_for("libvirtd to answer", self._answers)

    def _answers(self):
        with contextlib.suppress(RuntimeError):
            return self.virsh("version")

    def restart(self):
        self.kill(signal.SIGTERM)
        self.start()

    def kill(self, how=signal.SIGKILL):
        """Ends libvirtd; its machines run on."""
        os.kill(self.pid, how)
        wait_for("libvirtd to end", lambda: not pathlib.Path(f"/proc/{self.pid}").exists())

    def stop_process(self):
        """From now on it hangs."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def virsh(self, *words, uri=None, check=True):
        """What virsh prints; a minute is enough for anything."""
        return run(*self.bed.inside(testbed.NODE), "timeout", "60", "virsh", "--quiet",
                   "--connect", uri or self.uri, *words, check=check)

    def domains(self):
        """Names of all domains, ours and others."""
        return sorted(self.virsh("list", "--all", "--name").split())

    def end(self):
        """Ends the daemons, then the machines with their control groups."""
        for pid in [pid for pid in self.bed.pids() if _name(pid) in DAEMONS]:
            _kill(pid)
        for pid in [pid for pid in self.bed.pids() if (_name(pid) or "").startswith("qemu-system")]:
            _kill(pid)
        for reaper in self._reapers:
            reaper.wait(60)
            reaper.stdout.close()
        # What was in them may take a moment longer to leave them than to end.
        wait_for("control groups are gone", lambda: not [_remove(p) for p in list(self._groups())])

    def _groups(self):
        """Those that libvirt made for machines, each of which has a log. One that is killed while a
        machine ends leaves them behind."""
        for log in self.bed.seen(self.dir / "log/qemu").glob("*.log"):
            name = f"machine/qemu-*-{log.stem}.libvirt-qemu"
            for place in (name, f"*/{name}"):
                yield from pathlib.Path("/sys/fs/cgroup").glob(place)


def _remove(group):
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _name(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
