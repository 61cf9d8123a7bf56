"""A node with guests of all kinds: a container by LXC, a machine, a container of Docker's, beside a
dockerd that has its own bridge, rules and a container of somebody's."""
import pytest
from harness import rootfs, testbed
from harness.http import fetch
from harness.node import BOOT
from harness.shell import run, wait_for

LXC, KVM, DOCKER = NAMES = [f"{kind}.example.org" for kind in ("lxc", "kvm", "docker")]
PAGES = {LXC: rootfs.PAGE, KVM: f"{KVM}\n".encode(), DOCKER: f"{DOCKER}\n".encode()}


def kind(name):
    return name.partition(".")[0]


@pytest.fixture(scope="module")
def node(mixed_node):
    """With the three guests, up; .web has their pages' ports."""
    node = mixed_node
    for name in NAMES:
        node.api.create(name, driver=kind(name), storage={"size": "128MiB"},
                        limits={"memory": "192MiB"}, restart={"policy": "always"}, ports=[{"guest": 80, "purpose": kind(name)}])
    node.remember()
    image = next(i["id"] for i in node.api.get("/v1/images")["images"] if i["kind"] == "oci")
    node.docker.docker("run", "--detach", "--name=somebodys", image)
    node.web = {name: node.port_of(name, kind(name)) for name in NAMES}
    for name in (LXC, DOCKER):
        node.await_page(node.web[name], PAGES[name], BOOT)
    node.await_boot(KVM, node.web[KVM], PAGES[KVM])
    yield node
    node.docker.docker("rm", "--force", "somebodys")


def rules(node):
    """What anybody added to the chain that Docker leaves to its users."""
    text = run(*node.bed.inside(testbed.NODE), "iptables", "-S", "DOCKER-USER")
    return [line for line in text.splitlines()
            if line not in ("-N DOCKER-USER", "-A DOCKER-USER -j RETURN")]


def fetched(node, asker, url):
    done = node.api.exec(asker, "wget", "-q", "-O", "-", url)
    assert done["status"] == 0, (asker, url, done)
    return done["stdout"].encode()


def test_they_reach_each_other_by_name(node):
    for asker in NAMES:
        for name in NAMES:
            assert fetched(node, asker, f"http://{name}/") == PAGES[name], (asker, name)


def test_and_through_published_ports(node):
    for asker in NAMES:
        for name in NAMES:
            url = f"http://{testbed.NODE_ADDRESS}:{node.web[name]}/"
            assert fetched(node, asker, url) == PAGES[name], (asker, name)


def test_another_host_reaches_all_of_them_and_a_port_moves_between_kinds(node):
    for name in NAMES:
        assert node.fetch(node.web[name]) == PAGES[name]
    for name in (DOCKER, KVM, LXC):
        node.api.change("POST", f"/v1/ports/tcp/{node.web[LXC]}/switch", {"to": name})
        assert node.fetch(node.web[LXC]) == PAGES[name]


def test_a_restart_of_dockerd_cuts_no_other_guest_and_its_own_comes_back(node):
    """It makes its rules anew, FORWARD drops what it does not know, and it ends its containers."""
    assert "-P FORWARD DROP" in run(*node.bed.inside(testbed.NODE), "iptables", "-S", "FORWARD")
    assert rules(node)
    with node.nothing_noticed(node.web[LXC], page=PAGES[LXC]), \
            node.nothing_noticed(node.web[KVM], page=PAGES[KVM]):
        node.docker.restart()
        node.await_page(node.web[DOCKER], PAGES[DOCKER], BOOT)
    assert rules(node)
    node.docker.docker("start", "somebodys")


def test_with_the_last_guest_the_rules_go_and_somebodys_container_stays(node):
    for name in NAMES:
        node.api.destroy(name)
    wait_for("the rules are gone", lambda: not rules(node))
    assert list(node.docker.containers().values()) == ["somebodys"]
    address = node.docker.docker("inspect", "--format={{.NetworkSettings.IPAddress}}", "somebodys")
    assert fetch(node.bed.socket(testbed.NODE), (address.strip(), 80))[0] == 200
