"""LXC guests on a host with control groups v2 alone, which this machine need not be: a whole
Debian 12 with its own kernel. What is tested there are tests/drivers/test_lxc_guests.c and
test_lxc_guest_limits.c."""
import re
import shutil

from harness import vm
from harness.node import CACHE, TOP
from harness.shell import run

PROGRAMS = [TOP / "build/test/tests/drivers/test_driver_lxc_guests",
            TOP / "build/test/tests/drivers/test_driver_lxc_guest_limits"]
SECONDS = 900

SCRIPT = """
export LD_LIBRARY_PATH=/test CORPUS_TEST_ON_DISK=1 PATH=/usr/sbin:/usr/bin:/sbin:/bin
modprobe loop
uname -r
grep -c ' - cgroup ' /proc/self/mountinfo
cat /sys/fs/cgroup/cgroup.controllers
for program in /test/test_driver_*; do
	$program 2>&1
	echo "exit $?"
done
"""


def test_limits_statistics_and_ends_of_guests_on_v2_alone(tmp_path):
    for program in PROGRAMS:
        shutil.copy(program, tmp_path)
    cmocka = re.search(r"libcmocka\.so\S* => (\S+)", run("ldd", PROGRAMS[0]))[1]
    shutil.copy(cmocka, tmp_path)
    (tmp_path / "run").write_text(SCRIPT)
    said = vm.run_in(CACHE, tmp_path, SECONDS, systemd=False)
    print(said)
    lines = said.splitlines()
    assert lines[1] == "0" and {"cpu", "io", "memory", "pids"} <= set(lines[2].split()), said
    assert "SKIPPED" not in said and lines.count("exit 0") == len(PROGRAMS), said
