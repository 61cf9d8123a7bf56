"""Root file systems for tests, made here without a network: a busybox that serves one page."""
import fcntl
import io
import os
import pathlib
import re
import shutil
import tarfile
import tempfile

from .shell import run

PAGE = b"<h1>it works</h1>\n"

INIT = b"""#!/bin/sh
mount -t proc proc /proc 2>/dev/null
ip link set lo up
ip link set eth0 up 2>/dev/null
udhcpc -i eth0 -b -s /etc/udhcpc >/dev/null 2>&1 &
httpd -p 80 -h /www
trap 'exit 0' TERM PWR INT
while :; do sleep 86400 & wait $!; done
"""

UDHCPC = b"""#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr add "$ip/$mask" dev "$interface" 2>/dev/null
ip route add default via "$router" 2>/dev/null
echo "nameserver $dns" >/etc/resolv.conf
"""

APPLETS = ("sh ip udhcpc httpd mount umount sleep cat echo dd ls mkdir rm nc wget true hostname ps "
           "kill id chmod chown ln stat df sync head tail wc").split()


def busybox_tar(path, prefix="", extra=()):
    """Writes an uncompressed tar. `prefix` puts the tree below a directory (LXD wants rootfs/);
    `extra` are (name, bytes) files more."""
    with open("/bin/busybox", "rb") as file:
        busybox = file.read()
    with tarfile.open(path, "w") as tar:
        for name in ("", "bin", "sbin", "etc", "www", "proc", "sys", "dev", "run", "tmp", "root",
                     "var"):
            _directory(tar, prefix + name)
        _file(tar, prefix + "bin/busybox", busybox, 0o755)
        for applet in APPLETS:
            _link(tar, f"{prefix}bin/{applet}", "busybox")
        _file(tar, prefix + "sbin/init", INIT, 0o755)
        _file(tar, prefix + "etc/udhcpc", UDHCPC, 0o755)
        _file(tar, prefix + "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644)
        _file(tar, prefix + "www/index.html", PAGE, 0o644)
        for name, data in extra:
            _file(tar, name, data, 0o644)
    return path


def hollow_tar(path):
    """An image without an init: guests of it cannot start."""
    with tarfile.open(path, "w") as tar:
        _directory(tar, "etc")
    return path


def _directory(tar, name):
    info = tarfile.TarInfo(name.rstrip("/") or ".")
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(info)


def _file(tar, name, data, mode):
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


def _link(tar, name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    tar.addfile(info)


def debian_tar(cache):
    """A minimal Debian with systemd, made by debootstrap once and kept in the cache."""
    kept = cache / "debian-12-systemd.tar"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _debootstrap(pathlib.Path(folder), kept)
    return kept


def _debootstrap(folder, kept):
    root = folder / "root"
    run("debootstrap", "--variant=minbase", "--include=systemd-sysv,iproute2",
        "bookworm", root, mirror())
    service = root / "etc/systemd/system/page.service"
    service.write_text("[Service]\nExecStart=/usr/local/bin/busybox httpd -f -p 80 -h /www\n"
                       "[Install]\nWantedBy=multi-user.target\n")
    shutil.copy("/bin/busybox", root / "usr/local/bin/busybox")
    (root / "www").mkdir()
    (root / "www/index.html").write_bytes(PAGE)
    (root / "etc/systemd/network/eth0.network").write_text("[Match]\nName=eth0\n[Network]\nDHCP=ipv4\n")
    run("chroot", root, "systemctl", "enable", "page", "systemd-networkd")
    run("tar", "-C", root, "-cf", folder / "done.tar", "--numeric-owner", "--exclude=./dev/*",
        "--exclude=./var/cache/apt/archives/*.deb", "--exclude=./var/lib/apt/lists/*", ".")
    os.rename(folder / "done.tar", kept)


def mirror():
    """The package archive that this machine uses."""
    for path in [pathlib.Path("/etc/apt/sources.list"),
                 *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]:
        found = re.search(r"^(?:deb\s+(?:\[.*?\]\s+)?|URIs:\s*)(\S+)", path.read_text(), re.M) \
            if path.is_file() else None
        if found:
            return found[1]
    raise RuntimeError("no package archive in /etc/apt")
