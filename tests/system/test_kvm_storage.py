"""The disk and the memory of a real virtual machine, through the API: enlarged under its feet, trimmed,
kept and brought back. One machine goes through all of it, since booting is what takes time."""
import contextlib
import time

import pytest
from harness.api import Problem
from harness.shell import wait_for

NAME, OTHER = "box.example.org", "other.example.org"
PATH = f"/v1/guests/{NAME}"
MIB = 1 << 20
SIZE, LARGE, SMALL = 512 * MIB, 1024 * MIB, 256 * MIB


@pytest.fixture(scope="module")
def kvm(machine_node):
    machine_node.api.create(NAME, driver="kvm", storage={"size": SIZE},
                            limits={"memory": "128MiB", "cpus": 1})
    await_shell(machine_node)
    return machine_node


def sh(node, script, name=NAME):
    """What a shell in the machine says."""
    done = node.api.exec(name, "sh", "-c", script)
    assert done["status"] == 0, done
    return done["stdout"].strip()


def await_shell(node, name=NAME, seconds=90):
    def look():
        with contextlib.suppress(Problem):
            return sh(node, "echo up", name) == "up"
    wait_for(f"a shell in {name}", look, seconds)


def file_system(node):
    """Bytes of the root file system, as the machine sees it."""
    return int(sh(node, "df -k / | tail -n 1").split()[1]) * 1024


def change(node, path, body=None):
    return node.api.change("POST", f"{PATH}/{path}", body)


def refused(code, field, node, path, body=None, **query):
    with pytest.raises(Problem) as caught:
        node.api.call("POST", f"{PATH}/{path}", body, query={"wait": 60, **query})
    assert (caught.value.code, caught.value.field) == (code, field), caught.value
    return caught.value.detail


def test_it_grows_while_it_runs(kvm):
    before, pid = file_system(kvm), kvm.api.guest(NAME)["pid"]
    assert before < SIZE
    done = change(kvm, "storage/enlarge", {"to": LARGE})
    assert done["result"]["storage"]["size"] == LARGE and done["result"]["pid"] == pid
    assert done["result"]["file_system"] == "grown"
    assert file_system(kvm) > before + (LARGE - SIZE) * 0.9
    assert int(sh(kvm, "cat /sys/class/block/vda/size")) * 512 == LARGE


def test_what_it_does_not_use_is_returned(kvm):
    sh(kvm, "dd if=/dev/urandom of=/root/much bs=1M count=64 2>/dev/null; sync")
    full = kvm.api.get(f"{PATH}/storage")["used"]
    sh(kvm, "rm /root/much; sync")
    assert change(kvm, "storage/trim", {"discard": True})["result"]["discarded"] > 32 * MIB
    assert kvm.api.get(f"{PATH}/storage")["used"] < full - 32 * MIB


def test_a_smaller_disk_is_refused_while_it_runs(kvm):
    usage = kvm.api.get(f"{PATH}/storage")
    assert 0 < usage["least"] < SMALL and usage["size"] == LARGE
    for query in ({}, {"dry_run": "true"}):
        assert "the least possible size is" in refused(
            "illegal_state", "restart", kvm, "storage/trim", {"to": SMALL}, **query)
        refused("invalid", "storage.size", kvm, "storage/trim", {"to": MIB, "restart": True},
                **query)


def test_a_snapshot_holds_it_for_a_moment(kvm):
    sh(kvm, "echo then >/root/note; sync")
    began = time.monotonic()
    made = change(kvm, "snapshots", {"name": "disk"})["result"]
    assert made["memory"] is False and made["consistency"] in ("crash", "filesystem")
    assert time.monotonic() - began < 20
    assert kvm.api.guest(NAME)["state"] == "running"
    sh(kvm, "echo more >>/root/note; sync")


def test_it_goes_on_from_its_memory(kvm):
    """A command, and what it holds open, is there again in a machine that was ended twice."""
    sh(kvm, "echo then >/root/note; echo kept >/dev/shm/mark || echo kept >/tmp/mark; sync")
    boot = sh(kvm, "cat /proc/sys/kernel/random/boot_id")
    made = change(kvm, "snapshots", {"name": "memory", "memory": True})["result"]
    assert made["memory"] is True and kvm.api.guest(NAME)["state"] == "running"
    await_shell(kvm)
    assert sh(kvm, "cat /proc/sys/kernel/random/boot_id") == boot
    sh(kvm, "echo now >/root/note; sync")
    change(kvm, "snapshots", {"name": "newer"})
    change(kvm, "snapshots/memory/restore")
    await_shell(kvm)
    assert sh(kvm, "cat /proc/sys/kernel/random/boot_id") == boot
    assert sh(kvm, "cat /root/note") == "then"
    assert [s["name"] for s in kvm.api.guest(NAME)["snapshots"]] == ["disk", "memory", "newer"]
    assert not (kvm.pool / "volumes" / kvm.api.guest(NAME)["id"] / "memory").exists()


def test_a_clone_has_the_disk_and_not_the_memory(kvm):
    made = kvm.api.change("POST", f"{PATH}/actions/clone",
                          {"name": OTHER, "snapshot": "memory", "start": False})["result"]
    volume = kvm.pool / "volumes" / made["id"]
    assert made["disk"] == kvm.api.guest(NAME)["disk"]
    assert (volume / "disk.qcow2").exists() and not (volume / "memory").exists()
    kvm.api.destroy(OTHER)


def test_it_is_restarted_for_a_smaller_disk(kvm):
    done = change(kvm, "storage/trim", {"to": SMALL, "restart": True})
    assert done["result"]["storage"]["size"] == SMALL and done["result"]["state"] == "running"
    await_shell(kvm)
    assert SMALL * 0.8 < file_system(kvm) < SMALL
    assert sh(kvm, "cat /root/note") == "then"
    refused("invalid", "storage.size", kvm, "snapshots/disk/restore")  # it was larger then
    assert sh(kvm, "echo not even restarted") == "not even restarted"
