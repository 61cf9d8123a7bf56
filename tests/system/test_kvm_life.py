"""Real machines: the whole life of one, by the API that all guests have. It boots once for all the
tests of this file, which leave it as they found it; the last ones start it anew."""
import os
import re
import time

import pytest
from crash import agent_and_driver_die
from harness import disks
from harness.api import Problem
from harness.node import BOOT, CACHE
from harness.shell import run, wait_for

NAME = "vm1.example.org"
PATH = f"/v1/guests/{NAME}"
MIB = 1 << 20
FOREIGN = """<domain type='qemu'><name>corpus-somebodys</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"""


@pytest.fixture(scope="module")
def node(machine_node):
    return machine_node


@pytest.fixture(scope="module")
def web(node, tmp_path_factory):
    """The machine, up, with its page published: that port."""
    key = tmp_path_factory.mktemp("key") / "id"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    node.api.create(NAME, driver="kvm", storage={"size": "128MiB"},
                    limits={"memory": "192MiB", "cpus": 1},
                    ssh_keys=[key.with_suffix(".pub").read_text().strip()],
                    user_data="#!/bin/sh\necho it ran >/srv/www/user-data\n",
                    ports=[{"guest": 80, "purpose": "web"}])
    node.remember()
    node.key = key
    port = node.port_of(NAME, "web")
    await_boot(node, port)
    return port


def await_boot(node, port, name=NAME):
    """Waits for its page, and for its agent, which comes up a moment later."""
    node.await_boot(name, port, f"{name}\n".encode())


def await_page(node, port):
    """The same of one that does not boot, but goes on."""
    node.await_page(port, f"{NAME}\n".encode(), BOOT)
    node.await_inside(NAME)


def inside(node, script, name=NAME):
    """What a script in the guest prints."""
    done = node.api.exec(name, "sh", "-c", script)
    assert done["status"] == 0, done
    return done["stdout"].strip()


def kib(node, key):
    """A line of the guest's /proc/meminfo."""
    return int(inside(node, f"sed -n 's/^{key}: *//p' /proc/meminfo").split()[0])


def boot_id(node, name=NAME):
    return inside(node, "cat /proc/sys/kernel/random/boot_id", name)


# --- what it is ---

def test_it_serves_its_page_has_its_name_keys_and_user_data(node, web):
    guest = node.api.guest(NAME)
    assert guest["state"] == "running" and guest["driver"] == "kvm"
    assert "qemu" in os.readlink(f"/proc/{guest['pid']}/exe")
    assert node.virt.domains() == [f"corpus-{guest['id']}"]
    assert inside(node, "hostname; id -u") == f"{NAME}\n0"
    assert inside(node, "cat /srv/www/user-data") == "it ran"
    address = guest["network"]["address"]
    assert f"inet {address}/" in inside(node, "ip -4 address show dev eth0")


def test_its_user_logs_in_by_ssh_with_the_key(node, web):
    said = run(*node.bed.inside("node"), "timeout", "60", "ssh", "-q", "-i", node.key,
               "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
               "-o", "IdentitiesOnly=yes", f"root@{node.api.guest(NAME)['network']['address']}",
               "hostname")
    assert said.strip() == NAME


def test_the_node_says_how_machines_run(node, web):
    driver, = node.api.get("/v1/node")["drivers"]
    assert driver["usable"] and driver["image_kind"] == "disk"
    assert driver["acceleration"] == "tcg"  # its libvirtd sees no /dev/kvm


def test_files_go_in_and_come_out(node, web):
    text = "0123456789abcde\n" * 12500
    node.api.call("PUT", f"{PATH}/files", text.encode(), query={"path": "/root/data", "mode": "0640"})
    assert node.api.call("GET", f"{PATH}/files", query={"path": "/root/data"}).text == text
    assert inside(node, "stat -c %a /root/data; rm /root/data") == "640"


def test_its_console_has_a_shell(node, web):
    with node.api.console(NAME) as console:
        console.type(b"\recho $((6 * 7))-answered\r")
        console.until_out(b"42-answered")


def test_a_domain_of_somebody_else_is_left_alone(node, web):
    path = node.dir / "foreign.xml"
    path.write_text(FOREIGN)
    node.virt.virsh("define", path)
    try:
        assert [g["name"] for g in node.api.guests()] == [NAME]
        node.restart()
        wait_for("it is seen running", lambda: node.api.guest(NAME)["state"] == "running")
        assert [g["name"] for g in node.api.guests()] == [NAME]
        assert "corpus-somebodys" in node.virt.domains()
    finally:
        node.virt.virsh("undefine", "corpus-somebodys")


# --- changes while it runs ---

def test_cpus_and_memory_change_while_it_runs(node, web):
    boot = boot_id(node)
    total = kib(node, "MemTotal")
    node.api.change("PATCH", PATH, {"limits": {"cpus": 2, "memory": "320MiB"}})
    wait_for("a second processor", lambda: inside(node, "nproc") == "2")
    wait_for("more memory", lambda: kib(node, "MemTotal") > total + 100_000)
    node.api.change("PATCH", PATH, {"limits": {"cpus": 1, "memory": "192MiB"}})
    assert boot_id(node) == boot
    stats = node.api.get(f"{PATH}/stats")
    assert stats["state"] == "running" and stats["cpu"]["used_ns"] > 0


def test_it_is_enlarged_and_its_file_system_grows(node, web):
    size = "df -k / | tail -n 1 | awk '{ print $2 }'"
    before = int(inside(node, size))
    done = node.api.change("POST", f"{PATH}/storage/enlarge", {"size": "64MiB"})
    assert done["result"]["file_system"] == "grown"
    assert node.api.guest(NAME)["storage"]["size"] == 192 * MIB
    assert int(inside(node, size)) > before + 50_000


def test_frozen_it_stands_still_and_thawed_it_goes_on(node, web):
    boot = boot_id(node)
    node.api.act(NAME, "freeze")
    assert node.api.guest(NAME)["state"] == "frozen"
    with pytest.raises(OSError):
        node.fetch(web, timeout=0.5)
    node.api.act(NAME, "thaw")
    await_page(node, web)
    assert boot_id(node) == boot


# --- what it outlives ---

def test_it_outlives_agent_driver_and_libvirtd(node, web):
    pid = node.api.guest(NAME)["pid"]
    with node.nothing_noticed(web, page=f"{NAME}\n".encode()):
        agent_and_driver_die(node, NAME)
        node.virt.kill()
        try:
            wait_for("it is unknown", lambda: node.api.guest(NAME)["state"] == "unknown")
        finally:
            node.virt.start()
        wait_for("it is known again", lambda: node.api.guest(NAME)["state"] == "running")
    assert node.api.guest(NAME)["pid"] == pid


def test_a_driver_that_comes_up_without_libvirtd_is_of_use_when_that_comes(node, web):
    node.virt.kill()
    try:
        node.restart()
        wait_for("it is told", lambda: any(
            "libvirt" in p["message"] for p in node.api.get("/v1/node")["problems"]))
        driver, = node.api.get("/v1/node")["drivers"]
        assert not driver["usable"] and driver["image_kind"] == "disk"
    finally:
        node.virt.start()
    wait_for("it is usable", lambda: node.api.get("/v1/node")["drivers"][0]["usable"])
    wait_for("its guest is known", lambda: node.api.guest(NAME)["state"] == "running")
    wait_for("no problem is left", lambda: node.api.get("/v1/node")["problems"] == [])


# --- snapshots ---

def test_a_snapshot_is_restored_and_newer_ones_stay(node, web):
    inside(node, "echo one >/root/note")
    node.api.change("POST", f"{PATH}/snapshots", {"name": "first"})
    inside(node, "echo two >/root/note")
    node.api.change("POST", f"{PATH}/snapshots", {"name": "second"})
    node.api.change("POST", f"{PATH}/snapshots/first/restore")
    await_boot(node, web)
    assert inside(node, "cat /root/note") == "one"
    assert [s["name"] for s in node.api.guest(NAME)["snapshots"]] == ["first", "second"]


def test_a_snapshot_with_memory_goes_on_from_there(node, web):
    boot = boot_id(node)
    inside(node, "echo kept >/tmp/in-memory")  # /tmp is a file system in memory
    made = node.api.change("POST", f"{PATH}/snapshots", {"name": "live", "memory": True})["result"]
    assert made["memory"] is True
    wait_for("it answers again", lambda: inside(node, "cat /tmp/in-memory") == "kept")
    inside(node, "echo changed >/tmp/in-memory; sync")
    node.api.change("POST", f"{PATH}/snapshots/live/restore")
    wait_for("it answers again", lambda: inside(node, "cat /tmp/in-memory") == "kept")
    assert boot_id(node) == boot
    await_page(node, web)


# --- its ends and beginnings ---

def test_a_guest_that_powers_off_is_seen_as_stopped(node, web):
    with node.api.events() as stream:
        node.api.exec(NAME, "sh", "-c", "sync; (sleep 1; poweroff -f) >/dev/null 2>&1 &")
        stream.until(lambda e: e["type"] == "guest.state" and e["state"] == "stopped")
    assert not node.api.guest(NAME).get("pid")
    assert node.links() == [] and node.monitors() == {}
    node.api.act(NAME, "start")
    await_boot(node, web)


def test_stop_asks_the_guest_and_restart_starts_another_boot(node, web):
    inside(node, "echo kept >/root/note")  # written at its orderly end, or not at all
    boot = boot_id(node)
    began = time.monotonic()
    node.api.act(NAME, "stop", {"timeout": "5m"})
    assert time.monotonic() - began < 240, "it was not asked, or did not hear"
    assert node.api.guest(NAME)["state"] == "stopped"
    assert node.links() == [] and node.monitors() == {}
    node.api.act(NAME, "start")
    await_boot(node, web)
    assert inside(node, "cat /root/note") == "kept" and boot_id(node) != boot


def test_a_trim_gives_room_back_and_shrinks_only_by_permission(node, web):
    inside(node, "dd if=/dev/urandom of=/root/big bs=1M count=40 2>/dev/null; sync; rm /root/big; sync")
    done = node.api.change("POST", f"{PATH}/storage/trim", {"discard": True})
    assert done["result"]["discarded"] >= 32 * MIB
    with pytest.raises(Problem) as refused:
        node.api.change("POST", f"{PATH}/storage/trim", {"to": "96MiB"})
    assert (refused.value.status, refused.value.field) == (409, "restart")
    with pytest.raises(Problem) as refused:
        node.api.change("POST", f"{PATH}/storage/trim", {"to": "8MiB", "restart": True})
    assert refused.value.status == 422 and re.search(r"least.*\d+", refused.value.detail)
    node.api.change("POST", f"{PATH}/storage/trim", {"to": "96MiB", "restart": True})
    assert node.api.guest(NAME)["storage"]["size"] == 96 * MIB
    await_boot(node, web)
    assert int(inside(node, "df -k / | tail -n 1 | awk '{ print $2 }'")) < 96 * 1024


def test_destroyed_nothing_of_it_is_left(node, web):
    node.api.act(NAME, "kill")
    assert node.api.guest(NAME)["state"] == "stopped"
    node.api.act(NAME, "start")
    node.api.destroy(NAME)
    assert node.api.guests() == [] and node.virt.domains() == []
    node.assert_empty()


# --- disks that boot by themselves ---

def test_disks_boot_by_bios_and_by_uefi(node):
    """Side by side."""
    for name, path, query in (("bios", disks.bios_disk(CACHE), {"format": "raw"}),
                              ("uefi", disks.uefi_disk(CACHE), {"boot": "uefi"})):
        node.api.import_image(name, path, kind="disk", **query)
    made = {}
    for kind in ("bios", "uefi"):
        name = f"{kind}.example.org"
        node.api.create(name, image=kind, driver="kvm", limits={"memory": "256MiB", "cpus": 1},
                        ports=[{"guest": 80, "purpose": "web"}])
        made[name] = node.port_of(name, "web")
    node.remember()
    for name, port in made.items():
        await_boot(node, port, name)
        node.api.destroy(name)
    for kind in ("bios", "uefi"):
        node.api.change("DELETE", f"/v1/images/{kind}")
