"""Root file systems for tests, made here without a network: a busybox that serves one page."""
import io
import tarfile

PAGE = b"<h1>it works</h1>\n"

INIT = b"""#!/bin/sh
mount -t proc proc /proc 2>/dev/null
ip link set lo up
ip link set eth0 up 2>/dev/null
udhcpc -i eth0 -b -s /etc/udhcpc >/dev/null 2>&1 &
httpd -p 80 -h /www
nc -ul -p 53535 -e cat >/dev/null 2>&1 &
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
