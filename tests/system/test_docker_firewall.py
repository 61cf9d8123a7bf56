"""Guests beside a real dockerd that has the node drop what is forwarded: it was there first, comes
again, and its chain is emptied by others."""
import pytest
from harness import testbed
from harness.http import fetch
from harness.shell import run, wait_for

A, B = "a.example.org", "b.example.org"
OURS = "--comment corpus"


def rules(node):
    """All rules of its filter, without counters: those of others, and ours."""
    lines = run(*node.bed.inside(testbed.NODE), "iptables", "-S").splitlines()
    return [line for line in lines if OURS not in line], [line for line in lines if OURS in line]


def assert_open(node):
    """In by a published port, and from guest to guest, which br_netfilter shows to Docker, too."""
    wait_for("both rules to be back", lambda: len(rules(node)[1]) == 2)
    node.await_page(45000)
    address = node.api.guest(A)["network"]["address"]
    assert fetch(node.guest_socket(B), (address, 80), "/")[0] == 200


@pytest.fixture
def beside(make_node):
    return make_node(drivers=("lxc", "docker"), docker={"bridge": True})


def test_docker_cuts_no_guests_and_keeps_its_rules(beside):
    before, ours = rules(beside)
    assert "-P FORWARD DROP" in before and not ours
    beside.api.create(A, driver="lxc", ports=[{"guest": 80, "host": 45000, "purpose": "web"}])
    beside.api.create(B, driver="lxc")
    assert_open(beside)
    beside.docker.restart()
    assert_open(beside)
    run(*beside.bed.inside(testbed.NODE), "iptables", "-F", "DOCKER-USER")
    assert_open(beside)
    for rule in before:
        if rule.startswith("-A DOCKER-USER"):  # 28 has none of its own there
            run(*beside.bed.inside(testbed.NODE), "iptables", *rule.split())
    beside.kill9()
    run(*beside.bed.inside(testbed.NODE), "iptables", "-D", "DOCKER-USER", "1")
    beside.start()
    assert_open(beside)
    beside.api.destroy(A)
    assert len(rules(beside)[1]) == 2
    beside.api.destroy(B)
    assert rules(beside) == (before, [])
