"""The peer lxc-start: a btrfs clone with a quota, started by Debian's lxc-start as unprivileged as
corpus does it, with a link on a bridge and an address; no agent, no NAT. The floor."""
import pathlib

from harness import testbed
from harness.rootfs import busybox_tar
from harness.shell import run

CONFIG = """
lxc.uts.name = {name}
lxc.rootfs.path = dir:{root}
lxc.rootfs.options = idmap=container
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.net.0.type = veth
lxc.net.0.link = lxcbr0
lxc.net.0.flags = up
lxc.net.0.ipv4.address = 10.8.0.{number}/16
lxc.mount.auto = proc:mixed sys:mixed
lxc.pty.max = 64
lxc.tty.max = 0
"""


class Lxc:
    title = "lxc-start 5.0"

    def __init__(self, bed, pool):
        self.bed, self.pool, self.count = bed, pathlib.Path(pool), 0
        self.staying = set()
        self.dir = bed.dir / "lxc"
        self.dir.mkdir()
        bed.ip(testbed.NODE, "link", "add", "lxcbr0", "type", "bridge")
        bed.ip(testbed.NODE, "address", "add", "10.8.0.1/16", "dev", "lxcbr0")
        bed.ip(testbed.NODE, "link", "set", "lxcbr0", "up")
        self._run("btrfs", "quota", "enable", self.pool)
        self._run("btrfs", "subvolume", "create", self.pool / "image")
        self._run("tar", "-C", self.pool / "image", "-xf", busybox_tar(self.dir / "image.tar"))

    def _run(self, *words):
        run(*self.bed.inside(testbed.NODE), *words)

    def create(self, name):
        self.count = self.count % 250 + 1
        root = self.pool / name
        (self.dir / f"{name}.conf").write_text(CONFIG.format(name=name, root=root, number=self.count + 1))
        self._run("btrfs", "subvolume", "snapshot", self.pool / "image", root)
        self._run("btrfs", "qgroup", "limit", "5G", root)
        self._run("lxc-start", "-P", self.dir, "-n", name,
                  "-f", self.dir / f"{name}.conf", "--daemon")

    def stays(self, name):
        """A guest that is there until the end; made once."""
        if name not in self.staying:
            self.staying.add(name)
            self.create(name)

    def exec(self, name):
        self._run("lxc-attach", "-P", self.dir, "-n", name, "--", "/bin/busybox", "true")

    def destroy(self, name):
        self._run("lxc-stop", "-P", self.dir, "-n", name, "--kill")
        self._run("btrfs", "subvolume", "delete", self.pool / name)

    def resize(self, name, size):
        self._run("btrfs", "qgroup", "limit", size, self.pool / name)

    def close(self):
        """Its guests end with the testbed."""
