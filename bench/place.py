"""Where the peers run: a testbed's node with a mount namespace of its own. LXD and lxc-start read
/sys/class/net, which in a plain network namespace still shows the machine's links; here /sys is
fresh, and the control groups are bound back into it."""
import subprocess

from harness import testbed

PREPARE = """
set -e
mount --rbind /sys/fs/cgroup "$1"
mount -t sysfs sysfs /sys
mount --rbind "$1" /sys/fs/cgroup
echo ready
exec sleep infinity
"""


class Place:
    def __init__(self, bed):
        groups = bed.dir / "cgroup"
        groups.mkdir()
        self.holder = subprocess.Popen(
            bed.inside(testbed.NODE) + ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                                        PREPARE, "prepare", groups],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"

    def inside(self):
        """What to put before a command that shall run there."""
        return ["nsenter", f"--target={self.holder.pid}", "--net", "--mount"]
