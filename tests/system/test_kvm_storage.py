"""The disk and the memory of a real virtual machine while corpusd dies: whatever it was about to do
to them is done, or taken back, and the machine runs on or goes on where it was. One machine goes
through all of it without booting again; its whole life is in test_kvm_life.py."""
import contextlib

import pytest
from crash import Crash, die_and_recover
from harness.api import Problem
from harness.shell import wait_for

NAME, OTHER = "box.example.org", "other.example.org"
PATH = f"/v1/guests/{NAME}"
MIB = 1 << 20
SIZE, LARGE = 512 * MIB, 1024 * MIB
SNAPSHOT = Crash("guest.snapshot", "POST", f"{PATH}/snapshots", {"name": "held"})
MEMORY = Crash("guest.snapshot", "POST", f"{PATH}/snapshots", {"name": "memory", "memory": True})
ENLARGE = Crash("guest.enlarge", "POST", f"{PATH}/storage/enlarge", {"to": LARGE})


@pytest.fixture(scope="module")
def kvm(machine_node):
    machine_node.api.create(NAME, driver="kvm", storage={"size": SIZE},
                            limits={"memory": "128MiB", "cpus": 1})
    machine_node.await_boot(NAME)
    return machine_node


def sh(node, script):
    """What a shell in the machine says."""
    done = node.api.exec(NAME, "sh", "-c", script)
    assert done["status"] == 0, done
    return done["stdout"].strip()


def await_shell(node):
    """Which boot of the machine it is that answers."""
    def look():
        with contextlib.suppress(Problem):
            return sh(node, "cat /proc/sys/kernel/random/boot_id")
    return wait_for(f"a shell in {NAME}", look)


def killed(node, crash, *faults):
    """The change, while the agent dies: the operation as it ended, with its result."""
    done = die_and_recover(node, crash, ",".join(f"ops.{crash.verb}.{fault}@1" for fault in faults))
    assert done, "nothing died"
    return node.api.get(f"/v1/operations/{done['id']}")


def snapshots(node):
    return [(s["name"], s["memory"]) for s in node.api.guest(NAME)["snapshots"]]


def saved_memory(node):
    return (node.pool / "volumes" / node.api.guest(NAME)["id"] / "memory").exists()


def test_its_disk_grows_although_the_agent_dies(kvm):
    boot, pid = await_shell(kvm), kvm.api.guest(NAME)["pid"]
    done = killed(kvm, ENLARGE, "disk.before=kill")
    assert done["state"] == "done" and done["result"]["file_system"] == "grown"
    guest = kvm.api.guest(NAME)
    assert (guest["storage"]["size"], guest["pid"]) == (LARGE, pid) and await_shell(kvm) == boot
    assert int(sh(kvm, "df -k / | tail -n 1").split()[1]) * 1024 > LARGE * 0.9


def test_what_it_does_not_use_comes_back_to_the_pool(kvm):
    sh(kvm, "dd if=/dev/urandom of=/root/much bs=1M count=64 2>/dev/null; sync")
    full = kvm.api.get(f"{PATH}/storage")["used"]
    sh(kvm, "rm /root/much; sync")
    done = kvm.api.change("POST", f"{PATH}/storage/trim", {"discard": True})
    assert done["result"]["discarded"] > 32 * MIB
    assert kvm.api.get(f"{PATH}/storage")["used"] < full - 32 * MIB


@pytest.mark.parametrize("point", ["snapshot.before", "release.before"])
def test_a_machine_that_was_held_is_let_go(kvm, point):
    boot = await_shell(kvm)
    done = killed(kvm, SNAPSHOT, f"{point}=kill")
    assert done["state"] == "done" and await_shell(kvm) == boot
    sh(kvm, "echo written >/root/note; sync")
    assert done["result"]["consistency"] == "filesystem"
    kvm.api.change("DELETE", f"{PATH}/snapshots/held")


@pytest.mark.parametrize("step", ["save", "snapshot", "start"])
def test_it_goes_on_from_its_memory_although_the_agent_dies(kvm, step):
    boot = await_shell(kvm)
    done = killed(kvm, MEMORY, f"{step}.before=kill")
    assert done["state"] == "done" and done["result"]["memory"] is True
    assert kvm.api.guest(NAME)["state"] == "running" and await_shell(kvm) == boot
    assert snapshots(kvm) == [("memory", True)] and not saved_memory(kvm)
    kvm.api.change("DELETE", f"{PATH}/snapshots/memory")


def test_a_snapshot_of_memory_that_fails_is_taken_back_although_the_agent_dies(kvm):
    boot = await_shell(kvm)
    done = killed(kvm, MEMORY, "define.before=fail", "save.undo=kill")
    assert done["state"] == "failed"
    assert kvm.api.guest(NAME)["state"] == "running" and await_shell(kvm) == boot
    assert snapshots(kvm) == [] and not saved_memory(kvm)


def test_its_memory_comes_back_and_newer_snapshots_stay(kvm):
    boot = await_shell(kvm)
    sh(kvm, "echo then >/root/note; sync")
    kvm.api.change("POST", f"{PATH}/snapshots", {"name": "memory", "memory": True})
    await_shell(kvm)
    sh(kvm, "echo now >/root/note; sync")
    kvm.api.change("POST", f"{PATH}/snapshots", {"name": "newer"})
    restore = Crash("guest.restore", "POST", f"{PATH}/snapshots/memory/restore")
    done = killed(kvm, restore, "start.before=kill")
    assert done["state"] == "done" and await_shell(kvm) == boot
    assert sh(kvm, "cat /root/note") == "then" and not saved_memory(kvm)
    assert snapshots(kvm) == [("memory", True), ("newer", False)]
    made = kvm.api.change("POST", f"{PATH}/actions/clone",
                          {"name": OTHER, "snapshot": "memory", "start": False})["result"]
    assert not (kvm.pool / "volumes" / made["id"] / "memory").exists()
