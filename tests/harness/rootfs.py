"""Root file systems for tests, made here without a network: a busybox that serves one page."""
import fcntl
import io
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import time

from .shell import run

BUILDERS = pathlib.Path(__file__).resolve().parents[2] / "dist/image-build"
DAY = 24 * 3600
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


def busybox_tar(path, prefix="", extra=(), init=INIT):
    """Writes an uncompressed tar. `prefix` puts the tree below a directory (LXD wants rootfs/);
    `extra` are (name, bytes) files more; `init` is the script of its init."""
    with open("/bin/busybox", "rb") as file:
        busybox = file.read()
    with tarfile.open(path, "w") as tar:
        for name in ("", "bin", "sbin", "etc", "www", "proc", "sys", "dev", "run", "tmp", "root",
                     "var"):
            _directory(tar, prefix + name)
        _file(tar, prefix + "bin/busybox", busybox, 0o755)
        for applet in APPLETS:
            _link(tar, f"{prefix}bin/{applet}", "busybox")
        _file(tar, prefix + "sbin/init", init, 0o755)
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
    """What `corpus image build debian` builds, and a page on port 80."""
    return kept(cache, "debian-with-page.tar", _build_debian_with_page)


def services_tar(cache):
    """What `corpus image build debian --include nginx-light,postgresql` builds."""
    return kept(cache, "debian-services.tar", lambda image, _folder: _build_debian(
        image, "--include", "nginx-light,postgresql"))


def kept(cache, name, build, others=None):
    """An image in the cache, where build(path, folder for what it needs) makes it once. `others` match
    its other versions: those that nobody has used for a day are removed when it is made."""
    path = cache / name
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f"{others.replace('*', '') if others else name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _remove_unused(cache.glob(others) if others else ())
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                image = pathlib.Path(folder, "image.tar")
                build(image, pathlib.Path(folder))
                os.rename(image, path)
        os.utime(path)
    return path


def _remove_unused(paths):
    for path in paths:
        if time.time() - path.stat().st_mtime > DAY:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _build_debian(image, *options):
    with open(image, "wb") as out:
        subprocess.run([BUILDERS / "debian", *options], stdout=out, check=True)


def _build_debian_with_page(image, folder):
    _build_debian(image)
    page = folder / "page"
    units = page / "etc/systemd/system"
    (units / "multi-user.target.wants").mkdir(parents=True)
    (units / "page.service").write_text(
        "[Service]\nExecStart=/usr/local/bin/busybox httpd -f -p 80 -h /www\n")
    (units / "multi-user.target.wants/page.service").symlink_to("../page.service")
    (page / "usr/local/bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", page / "usr/local/bin/busybox")
    (page / "www").mkdir()
    (page / "www/index.html").write_bytes(PAGE)
    run("tar", "-C", page, "-rf", image, "--numeric-owner", "--owner=0", "--group=0",
        "etc", "usr", "www")


if __name__ == "__main__":
    for make in (debian_tar, services_tar):
        make(pathlib.Path(os.environ.get("CORPUS_CACHE", "/var/cache/corpus-dev")))
