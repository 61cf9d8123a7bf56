"""A Debian machine with systemd, of the image that `corpus image build debian --driver kvm` makes. It
boots for a minute under software emulation: so it is among the tests of `./dev long`."""
import pytest
from harness import disks
from harness.node import CACHE
from harness.shell import run

NAME = "debian.example.org"
PATH = f"/v1/guests/{NAME}"
BOOT = 300  # seconds, emulated, with another test beside it


@pytest.fixture(scope="module")
def node(machine_node):
    machine_node.api.import_image("debian", disks.debian_tar(CACHE), kind="disk")
    return machine_node


def inside(node, script):
    done = node.api.exec(NAME, "sh", "-c", script)
    assert done["status"] == 0, done
    return done["stdout"].strip()


def test_debian_boots_with_its_name_keys_and_services(node, tmp_path):
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "id")
    node.api.create(NAME, image="debian", driver="kvm", storage={"size": "1GiB"},
                    limits={"memory": "384MiB"},
                    ssh_keys=[(tmp_path / "id.pub").read_text().strip()],
                    user_data="#!/bin/sh\nhostname >/root/user-data\n")
    node.remember()

    node.await_inside(NAME, BOOT)
    assert inside(node, "systemctl is-system-running --wait") == "running"
    assert inside(node, "hostname; cat /root/user-data") == f"{NAME}\n{NAME}"
    assert inside(node, "systemctl is-active ssh qemu-guest-agent") == "active\nactive"
    address = node.api.guest(NAME)["network"]["address"]
    said = run(*node.bed.inside("node"), "timeout", "30", "ssh", "-q", "-i", tmp_path / "id",
               "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
               f"root@{address}", "id -un")
    assert said == "root\n"

    # Its file system is as large as its disk, and grows with it.
    size = "df --output=size -BM / | tail -n 1 | tr -dc 0-9"
    assert int(inside(node, size)) > 900
    node.api.change("POST", f"{PATH}/storage/enlarge", {"size": "1GiB"})
    assert int(inside(node, size)) > 1800

    node.api.act(NAME, "stop")
    node.api.destroy(NAME)
    node.assert_empty()
