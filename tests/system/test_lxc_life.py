"""Real containers: the whole life of one, and what its root may do."""
import os
import pathlib
import re

import pytest
from harness import lend, testbed
from harness.rootfs import hollow_tar
from harness.shell import wait_for

NAME = "web1.example.org"


@pytest.fixture
def web(lxc):
    """A running guest with its page published; destroyed afterwards."""
    with lend.web(lxc, NAME) as port:
        yield port


def test_create_serve_stop_start_restart_kill_destroy(lxc, web):
    guest = lxc.api.guest(NAME)
    kept = ("id", "network", "ports", "created")
    for verb, state in (("stop", "stopped"), ("start", "running"), ("restart", "running"),
                        ("kill", "stopped"), ("start", "running")):
        lxc.api.act(NAME, verb)
        now = lxc.api.guest(NAME)
        assert now["state"] == state, (verb, now)
        assert [now[k] for k in kept] == [guest[k] for k in kept]
        if state == "running":
            assert os.path.exists(f"/proc/{now['pid']}")
            lxc.await_page(web)
        else:
            assert not now.get("pid")
            assert lxc.links() == [] and lxc.monitors() == {}


def test_a_guest_that_shuts_down_by_itself_is_seen_as_stopped(lxc, web):
    with lxc.api.events() as stream:
        os.kill(lxc.api.guest(NAME)["pid"], 9)
        stream.until(lambda e: e["type"] == "guest.state" and e["state"] == "stopped")
    assert lxc.api.guest(NAME)["state"] == "stopped"
    lxc.api.act(NAME, "start")
    lxc.await_page(web)


def test_guests_and_ports_outlive_the_agent_and_its_driver(lxc, web):
    pid = lxc.api.guest(NAME)["pid"]
    with lxc.nothing_noticed(web):
        lxc.kill9()
        lxc.start()
        wait_for("it is seen running", lambda: lxc.api.guest(NAME).get("pid") == pid)
        lxc.restart()
        wait_for("it is seen running", lambda: lxc.api.guest(NAME).get("pid") == pid)
        driver = lxc.driver_pid("lxc")
        os.kill(driver, 9)
        wait_for("another driver process", lambda: lxc.driver_pid("lxc") not in (0, driver))
        assert lxc.api.guest(NAME)["state"] == "running"


def test_a_guest_that_ended_while_the_agent_was_away_is_seen_as_stopped(lxc, web):
    pid = lxc.api.guest(NAME)["pid"]
    lxc.kill9()
    os.kill(pid, 9)
    wait_for("its processes end", lambda: not os.path.exists(f"/proc/{pid}"))
    lxc.start()
    wait_for("it is seen", lambda: lxc.api.guest(NAME)["state"] != "running")
    lxc.api.act(NAME, "start")
    lxc.await_page(web)


def test_a_monitor_that_is_killed_is_noticed_and_nothing_stays_behind(lxc, web):
    pid = lxc.api.guest(NAME)["pid"]
    monitor = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(monitor, 9)
    wait_for("it is noticed", lambda: lxc.api.guest(NAME)["state"] in ("stopped", "error", "running")
             and lxc.api.guest(NAME).get("pid") != pid or not os.path.exists(f"/proc/{pid}"))
    # The fixture destroys it, after which nothing may be left.


def test_root_inside_is_nobody_outside(lxc, web):
    pid = lxc.api.guest(NAME)["pid"]
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    uid = int(next(l for l in status.splitlines() if l.startswith("Uid:")).split()[1])
    assert uid >= 100000
    assert "Seccomp:\t2" in status
    for attempt in (["mknod", "/tmp/disk", "b", "7", "0"], ["mount", "-t", "tmpfs", "none", "/proc/1"],
                    ["dd", "if=/dev/zero", "of=/dev/mem", "count=1"],
                    ["sh", "-c", "echo b >/proc/sysrq-trigger"],
                    ["sh", "-c", "echo x >/proc/sys/kernel/core_pattern"]):
        lxc.in_guest(NAME, "/bin/busybox", *attempt, check=False)
    core = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
    assert core != "x\n"
    assert not (lxc.pool / f"volumes/{lxc.api.guest(NAME)['id']}/rootfs/tmp/disk").is_block_device()


def test_the_limits_given_are_those_in_force(lxc):
    name = "tight.example.org"
    lxc.api.create(name, limits={"memory": "64MiB", "pids": 50, "cpus": 0.5})
    lxc.remember()
    assert memory_limit(lxc, name) == 64 << 20
    lxc.api.change("PATCH", f"/v1/guests/{name}", {"limits": {"memory": "128MiB"}})
    assert memory_limit(lxc, name) == 128 << 20
    lxc.api.act(name, "restart")
    assert memory_limit(lxc, name) == 128 << 20
    lxc.api.destroy(name)


def memory_limit(node, name):
    """As the kernel has it, v1 or v2."""
    pid = node.api.guest(name)["pid"]
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for file in (f"/sys/fs/cgroup/memory{path}/memory.limit_in_bytes",
                     f"/sys/fs/cgroup{path}/memory.max"):
            if controllers in ("memory", "") and os.path.exists(file):
                return int(pathlib.Path(file).read_text())
    raise AssertionError("its memory control group was not found")


def test_an_image_whose_init_cannot_run_fails_the_create_and_leaves_nothing(lxc, tmp_path):
    lxc.api.import_image("empty", hollow_tar(tmp_path / "empty.tar"))
    answer = lxc.api.send("POST", "/v1/guests", {"name": "dud.example.org", "image": "empty"},
                          query={"wait": 60})
    assert answer.status >= 500 and answer.json["operation"], answer.text
    assert answer.json["code"] == "driver_failed", answer.text
    assert lxc.api.guests() == [] and lxc.api.get("/v1/ports")["ports"] == []
    lxc.assert_empty()
    lxc.api.change("DELETE", "/v1/images/empty")


def test_guests_find_each_other_by_name(lxc, web):
    lxc.api.create("web2.example.org")
    lxc.remember()

    wait_for("its resolver is set", lambda: lxc.in_guest(
        "web2.example.org", "/bin/busybox", "cat", "/etc/resolv.conf", check=False))

    def resolved():
        said = lxc.in_guest("web2.example.org", "/bin/busybox", "wget", "-q", "-O-", f"http://{NAME}/",
                            check=False)
        return "it works" in said
    wait_for("the name resolves", resolved)
    lxc.api.destroy("web2.example.org")


def test_a_guest_reaches_the_outside_by_the_nodes_address(lxc, web):
    with lxc.bed.socket(testbed.OUTSIDE) as server:
        server.settimeout(60)
        server.bind((testbed.OUTSIDE_ADDRESS, 8000))
        server.listen()
        lxc.in_guest(NAME, "/bin/busybox", "sh", "-c",
                     f"echo hello | nc -w 5 {testbed.OUTSIDE_ADDRESS} 8000 >/dev/null 2>&1 &")
        link, peer = server.accept()
        with link:
            assert link.recv(5) == b"hello" and peer[0] == testbed.NODE_OUTSIDE_ADDRESS


def test_limits_of_io_are_those_of_the_disk_under_the_pool(lxc, web):
    def limits():
        found = [file for folder in lxc.guest_cgroups() for file in pathlib.Path(folder).rglob("*")
                 if file.name in ("blkio.throttle.write_bps_device", "io.max")]
        return " ".join(file.read_text() for file in found)

    lxc.api.change("PATCH", f"/v1/guests/{NAME}", {"limits": {"io_write": "1MiB"}})
    assert re.search(rf"\d+:\d+ (.*wbps=)?{1 << 20}", limits()), limits()
    lxc.api.change("PATCH", f"/v1/guests/{NAME}", {"limits": {"io_write": None}})
    assert str(1 << 20) not in limits()
