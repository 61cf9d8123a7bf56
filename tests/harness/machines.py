"""Pretended machines: a node whose fake driver makes them, and small disks for images. Their disks are
real ones; each says on its console whenever it boots or goes on from its memory, and since when."""
import io
import json
import os
import tarfile

from .faults import order
from .shell import run

MIB = 1 << 20
DISK_SIZE = 64 * MIB
DRIVERS = {"drivers": [{"name": "fake", "endpoint": "disk"}]}
CONTAINERS = {"drivers": [{"name": "fake", "endpoint": "oci"}]}


def ext4_disk(folder, name="ext4.qcow2", size=DISK_SIZE, holds=()):
    """A qcow2 of one ext4 file system as a whole, with files of those sizes in it."""
    root, raw, path = folder / f"{name}.d", folder / f"{name}.raw", folder / name
    root.mkdir()
    for number, bytes_ in enumerate(holds):
        (root / f"file{number}").write_bytes(os.urandom(bytes_))
    run("mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", root, raw, size // 1024)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path)
    raw.unlink()
    return path


def kernel_tar(folder, disk, cmdline, name="kernel.tar"):
    """A disk with a kernel beside it, as builders make them."""
    path = folder / name
    with tarfile.open(path, "w") as tar:
        tar.add(disk, "disk.qcow2")
        for file, data in (("kernel", b"a kernel"), ("cmdline", cmdline.encode())):
            entry = tarfile.TarInfo(file)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def info(path):
    """What qemu-img says of a disk."""
    return json.loads(run("qemu-img", "info", "-U", "--output=json", path))


class Machines:
    """What there is to see of the machines of a node."""

    def __init__(self, node):
        self.node = node

    def part(self, name, part):
        """A file of a machine's volume."""
        return self.node.pool / "volumes" / self.node.api.guest(name)["id"] / part

    def size(self, name):
        """Of its disk, as it sees it."""
        return info(self.part(name, "disk.qcow2"))["virtual-size"]

    def said(self, name):
        """All that it said: ("boots" or "goes on", since when)."""
        id = self.node.api.guest(name)["id"]
        lines = (self.node.dir / f"log/fake/{id}.console").read_text().splitlines()
        return [tuple(line.removeprefix("the fake guest ").split(": ")) for line in lines]

    def life(self, name):
        """Since when it runs: the same after it went on from its memory."""
        return self.said(name)[-1][1]

    def held(self, name):
        id = self.node.api.guest(name)["id"]
        return (self.node.dir / f"run/drivers/fake/{id}.held").exists()

    def faults(self, **faults):
        """What the driver is to do wrong from now on; nothing: all is well."""
        order(self.node, **faults)
