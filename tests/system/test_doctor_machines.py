"""What corpus-doctor says of a real host with virtual machines: a libvirtd that is there, hidden
away, gone and back."""
import json

import pytest
from harness.node import Node, program
from harness.shell import run, wait_for
from harness.testbed import CLIENT, NODE, Testbed


class Host:
    """A node that was asked nothing but how it is."""

    def __init__(self, bed):
        self.bed, self.closed = bed, bed.dir / "closed"
        self.node = Node(bed, {"storage": {"path": str(self.closed / "pool")}}, ("kvm",))
        self.libvirt = self.node.virt
        self.node.start()

    def doctor(self, check, inside=None):
        """The lines about one thing, as (verdict, message, advice)."""
        said = run(*(inside or self.bed.inside(NODE)), program("corpus-doctor"), "--config",
                   self.node.config, "--drivers", "[]")  # the driver itself is not asked here
        return lines(map(json.loads, said.splitlines()), check)


def lines(report, check):
    return [(line["verdict"], line["message"], line["advice"]) for line in report
            if line["check"] == check]


@pytest.fixture(scope="module")
def host():
    with Testbed() as bed:
        made = Host(bed)
        try:
            yield made
        finally:
            made.node.destroy()


def test_a_host_that_suits_machines_has_nothing_bad_about_it(host):
    assert {line[0] for check in ("libvirt", "qemu") for line in host.doctor(check)} == {"good"}
    assert len(host.doctor("libvirt")) == 2, "libvirtd and virtlogd"


def test_how_machines_are_accelerated_is_told_by_node_and_doctor(host):
    driver = wait_for("it is found out", lambda: next((
        d for d in host.node.api.get("/v1/node")["drivers"] if "acceleration" in d), None))
    assert (driver["usable"], driver["acceleration"]) == (True, "tcg")
    assert driver["notice"] == "machines are emulated, which is slow: there is no /dev/kvm"
    report = host.node.api.get("/v1/node/doctor")["checks"]
    (verdict, message, advice), = lines(report, "acceleration")
    assert (verdict, advice[:10]) == ("warning", "`modprobe ")
    assert message.endswith("than by KVM: there is no /dev/kvm")
    (verdict, message, _), = lines(report, "driver")
    assert verdict == "good" and message.startswith("kvm can run guests: libvirt ")
    assert message.endswith(", by tcg")


def test_a_pool_that_qemu_cannot_reach_is_told_with_the_directory_that_stops_it(host):
    host.closed.chmod(0o700)
    bad, = [line for line in host.doctor("qemu") if line[0] == "bad"]
    assert bad[1].startswith(f"QEMU runs as the user libvirt-qemu, who cannot pass {host.closed} ")
    run("sh", "-c", bad[2].split("`")[1])  # what it says to do
    assert {line[0] for line in host.doctor("qemu")} == {"good"}


def test_a_network_of_libvirts_that_clashes_is_named(host):
    network = host.bed.seen("/etc/libvirt/qemu/networks")
    network.mkdir()
    (network / "wide.xml").write_text("<network><name>wide</name>"
                                      "<ip address='10.0.0.1' netmask='255.0.0.0'/></network>")
    bad, = [line for line in host.doctor("libvirt") if line[0] == "bad"]
    assert "network wide has the address 10.0.0.1" in bad[1] and "net-undefine wide" in bad[2]
    (network / "wide.xml").unlink()


def test_a_libvirtd_in_another_network_is_told(host):
    elsewhere = ["nsenter", f"--target={host.bed.holder.pid}", "--mount",
                 f"--net=/run/netns/{host.bed.name(CLIENT)}"]
    bad, = [line for line in host.doctor("libvirt", elsewhere) if line[0] == "bad"]
    assert bad[1] == "libvirtd is in another network namespace, and cannot put machines on lxcbr1"


def test_a_libvirtd_that_is_gone_is_told_until_it_is_back(host):
    host.libvirt.kill()
    bad, = [line for line in host.doctor("libvirt") if line[0] == "bad"]
    assert bad[1].startswith("libvirtd does not run: nobody listens at /run/libvirt/libvirt-sock")
    host.libvirt.start()
    assert {line[0] for line in host.doctor("libvirt")} == {"good"}
