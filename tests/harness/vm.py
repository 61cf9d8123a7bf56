"""A whole Debian 12 with systemd as its first process, in a virtual machine with software
emulation: for what a namespace cannot show (packages and units, a host with cgroup v2 alone, a
reboot). The machine has no network. Its disk is made once and kept in the cache; what a run writes
is thrown away with it."""
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile

from .shell import run

# What our packages need beside each other, and what the tests use.
INCLUDE = ("systemd systemd-sysv dbus udev kmod iproute2 procps linux-image-cloud-amd64 "
           "initramfs-tools nftables btrfs-progs dnsmasq-base uidmap busybox-static "
           "libmicrohttpd12 libyaml-0-2 libnftables1 libsqlite3-0 libnl-route-3-200 libmnl0 "
           "libnettle8 libarchive13 libbtrfsutil1 libcurl4 libjansson4 libseccomp2 liblxc1 liblxc-common apparmor "
           "libcap2 zstd libvirt0 libxml2 libssh2-1 "
           "qemu-utils qemu-system-common").split()
VERSION = 6  # to be raised when the disk has to be made anew

# Runs what the second disk says, tells on the second serial port, and ends the machine.
SERVICE = """[Unit]
After=multi-user.target

[Service]
Type=simple
ExecStart=/bin/sh -c 'mkdir -p /test; mount -o ro /dev/vdb /test; sh /test/run; systemctl poweroff'
StandardOutput=file:/dev/ttyS1
StandardError=inherit

[Install]
WantedBy=multi-user.target
"""


def disk(cache):
    """(disk, kernel, initrd) in the cache."""
    folder = cache / f"vm-{VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "vm.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=cache) as place:
                _make(pathlib.Path(place))
                os.rename(pathlib.Path(place) / "made", folder)
    return folder / "disk", folder / "vmlinuz", folder / "initrd"


def _make(place):
    root, made = place / "root", place / "made"
    made.mkdir()
    run("debootstrap", "--variant=minbase", f"--include={','.join(INCLUDE)}", "bookworm", root)
    unit = root / "etc/systemd/system/vm-test.service"
    unit.write_text(SERVICE)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / unit.name).symlink_to(f"../{unit.name}")
    (root / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 0\n")
    (root / "etc/hostname").write_text("node1\n")
    shutil.rmtree(root / "var/cache/apt/archives")
    shutil.rmtree(root / "var/lib/apt/lists")
    shutil.copy(next((root / "boot").glob("vmlinuz-*")), made / "vmlinuz")
    shutil.copy(next((root / "boot").glob("initrd.img-*")), made / "initrd")
    run("mke2fs", "-q", "-t", "ext4", "-d", root, made / "disk", "4G")


# The same without systemd, which takes half a minute in such a machine: a shell is its first process.
ALONE = ("mount -o remount,rw /; mount -t cgroup2 none /sys/fs/cgroup; mkdir -p /test; mount -o ro /dev/vdb /test; "
         "sh /test/run >/dev/ttyS1 2>&1; echo o >/proc/sysrq-trigger; sleep 60")


def run_in(cache, folder, seconds, systemd=True):
    """Boots the machine with `folder` at /test and lets it run /test/run, a shell script; returns
    what that wrote. The machine ends when the script does, unless that reboots it and waits: then the
    script runs again. Without systemd there is nothing but the kernel, /dev and control groups v2."""
    system, kernel, initrd = disk(cache)
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        run("mke2fs", "-q", "-t", "ext4", "-d", folder, place / "test", "64M")
        console, said = place / "console", place / "said"
        machine = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1536",
             "-display", "none", "-nodefaults", "-nic", "none",
             "-kernel", kernel, "-initrd", initrd,
             "-append", "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 "
                        "mitigations=off" + ("" if systemd else f' init=/bin/sh -- -c "{ALONE}"'),
             "-drive", f"file={system},format=raw,if=virtio,snapshot=on",
             "-drive", f"file={place / 'test'},format=raw,if=virtio,readonly=on",
             "-serial", f"file:{console}", "-serial", f"file:{said}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            machine.wait(seconds)
        except subprocess.TimeoutExpired:
            machine.kill()
            machine.wait()
            raise TimeoutError(f"the machine did not end within {seconds} s: "
                               f"{_text(said)}\n{_text(console)[-2000:]}") from None
        finally:
            error = machine.stderr.read().decode()
            machine.stderr.close()
        assert machine.returncode == 0, error
        return _text(said)


def _text(path):
    return path.read_text(errors="replace").replace("\r", "") if path.exists() else ""
