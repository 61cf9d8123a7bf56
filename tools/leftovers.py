"""What tests, demo and bench must not leave on a machine.

    leftovers.py save FILE       writes what is there now
    leftovers.py compare FILE    lists what is there that was not; exit status 1 when there is any

Looks at network namespaces, links of the machine's own network, mounts, loop devices, control
groups, processes and temporary files. Processes count when their program is one of ours or one
that we start, files when they have a name that we give; locks stay, for who comes next."""
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

PROGRAMS = re.compile(
    r"^(corpus.*|dnsmasq|haproxy|lxd|lxcfs|lxc-.*|\[lxc monitor\].*|nsenter|debootstrap"
    r"|libvirtd|virtlogd|virtlockd|qemu-system-.*|dockerd|containerd.*|runc|docker-registry)$")

FILES = re.compile(r"^(corpus-|cx[0-9a-f]{8}-|test-(http|listen|upgrade|accel)|fuzz-)(?!.*\.lock$)")


def namespaces():
    path = pathlib.Path("/run/netns")
    return [entry.name for entry in path.iterdir()] if path.is_dir() else []


def links():
    lines = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return [line.split(": ")[1].split("@")[0] for line in lines.splitlines()]


def mounts():
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines]


def loops():
    names = pathlib.Path("/sys/block").glob("loop*/loop/backing_file")
    return [f"{p.parts[3]} {_read(p).strip()}" for p in names]


def cgroups():
    found = []
    for root, folders, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(root, folder) for folder in folders]
    return found


def processes():
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        words = _read(entry / "cmdline").split("\0")
        program = os.path.basename(words[0])
        if PROGRAMS.match(program) or PROGRAMS.match(words[0]):
            found.append(f"{entry.name} {' '.join(words).strip()[:120]}")
    return found


def files():
    return [str(path) for folder in ("/tmp", "/var/tmp", "/dev/shm")
            for path in pathlib.Path(folder).glob("*") if FILES.match(path.name)]


def _read(path):
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


KINDS = {"network namespace": namespaces, "link": links, "mount": mounts, "loop device": loops,
         "control group": cgroups, "process": processes, "file": files}


def snapshot():
    return {kind: sorted(look()) for kind, look in KINDS.items()}


def difference(before, ours=None):
    """What is there now and was not in `before`: lines. With `ours`, a mark, only what bears it:
    for one of several tests that run side by side."""
    new = [f"{kind}: {name}" for kind, names in snapshot().items()
           for name in names if name not in set(before[kind])]
    return [line for line in new if not ours or ours in line]


def sweep(before):
    """Removes empty control groups that no guest of ours is the matter of: "corpus" and libvirt's
    "machine", which hold theirs, belong to the node for as long as it is one; lxc.* are those of
    lxc-start and LXD."""
    for path in sorted(cgroups(), key=len, reverse=True):
        shared = os.path.basename(path) in ("corpus", "machine") or "/lxc." in path
        if shared and path not in before["control group"]:
            with contextlib.suppress(OSError):
                os.rmdir(path)


def settled(before, ours=None, seconds=5):
    """As difference(), after giving what is on its way out (lazy unmounts, dying links) a moment."""
    deadline = time.monotonic() + seconds
    sweep(before)
    while (left := difference(before, ours)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def main(verb, path):
    if verb == "save":
        pathlib.Path(path).write_text(json.dumps(snapshot()))
        return 0
    left = settled(json.loads(pathlib.Path(path).read_text()))
    for line in left:
        print(f"left behind: {line}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
