"""Real containers of a dockerd: the whole life of a guest, by the API that all guests have. It starts
once for all the tests of this file, which leave it as they found it."""
import base64
import os

import pytest
from crash import agent_and_driver_die
from harness.api import Problem
from harness.shell import wait_for

NAME = "web1.example.org"
PATH = f"/v1/guests/{NAME}"
PAGE = f"{NAME}\n".encode()
MIB = 1 << 20


@pytest.fixture(scope="module")
def node(docker_node):
    return docker_node


@pytest.fixture(scope="module")
def web(node):
    """The guest, up, with its page published: that port."""
    node.api.create(NAME, driver="docker", storage={"size": "100MiB"},
                    limits={"memory": "64MiB", "cpus": 1, "pids": 100},
                    container={"environment": {"GREETING": "hello"}},
                    ports=[{"guest": 80, "purpose": "web"}])
    node.remember()
    port = node.port_of(NAME, "web")
    node.await_page(port, PAGE)
    return port


def container(node, name=NAME):
    """What dockerd says of a guest's container."""
    id = node.api.guest(name)["id"]
    found = node.docker.docker("ps", "-aq", "--no-trunc", f"--filter=label=corpus.guest={id}").split()
    assert len(found) == 1
    return node.docker.request("GET", f"/containers/{found[0]}/json")


def inside(node, script, name=NAME, **fields):
    """What a script in the guest prints."""
    done = node.api.exec(name, "sh", "-c", script, **fields)
    assert done["status"] == 0, done
    return done["stdout"].strip()


# --- what it is ---

def test_it_serves_its_page_and_has_its_name_address_and_variables(node, web):
    guest = node.api.guest(NAME)
    assert guest["state"] == "running" and guest["driver"] == "docker"
    assert container(node)["State"]["Pid"] == guest["pid"]
    assert inside(node, "hostname; echo $GREETING") == f"{NAME}\nhello"
    shown = inside(node, "ip address show dev eth0")
    assert f"inet {guest['network']['address']}/" in shown and guest["network"]["mac"] in shown
    assert node.fetch(web, role="outside", address="198.51.100.1") == PAGE


def test_docker_has_no_part_in_its_network_and_no_right_is_left_to_it(node, web):
    host = container(node)["HostConfig"]
    assert host["NetworkMode"] == "none" and not host["PortBindings"]
    assert not host["Privileged"] and "no-new-privileges" in " ".join(host["SecurityOpt"])
    assert host["RestartPolicy"]["Name"] in ("", "no")
    assert not any("docker.sock" in bind for bind in host["Binds"] or [])
    assert inside(node, "grep NoNewPrivs /proc/1/status | tr -d '\\t'") == "NoNewPrivs:1"
    # CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_NET_RAW, CAP_MKNOD (capability.h).
    bounds = int(inside(node, "sed -n 's/CapBnd:\\t//p' /proc/1/status"), 16)
    assert not bounds & (1 << 21 | 1 << 12 | 1 << 13 | 1 << 27)


def test_commands_end_with_their_status_as_their_user(node, web):
    done = node.api.exec(NAME, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done["status"], done["stdout"], done["stderr"]) == (3, "out\n", "err\n")
    assert inside(node, "id -u; id -g", user="65534:65534") == "65534\n65534"


def test_files_go_in_and_come_out(node, web):
    data = base64.b64encode(os.urandom(150000))
    node.api.call("PUT", f"{PATH}/files", data, query={"path": "/root/data", "mode": "0640"})
    assert node.api.call("GET", f"{PATH}/files", query={"path": "/root/data"}).text == data.decode()
    assert inside(node, "stat -c %a /root/data; rm /root/data") == "640"


# --- changes while it runs ---

def test_limits_change_while_it_runs(node, web):
    pid = node.api.guest(NAME)["pid"]
    node.api.change("PATCH", PATH, {"limits": {"memory": "128MiB", "cpus": 0.5, "pids": 60}})
    host = container(node)["HostConfig"]
    assert host["Memory"] == 128 * MIB and host["PidsLimit"] == 60
    stats = node.api.get(f"{PATH}/stats")
    assert stats["memory"]["set"] == 128 * MIB and 0 < stats["memory"]["used"] < 128 * MIB
    assert stats["cpu"]["used_ns"] > 0 and stats["pids"]["used"] >= 2
    node.api.change("PATCH", PATH, {"limits": {"memory": "64MiB", "cpus": 1, "pids": 100}})
    assert node.api.guest(NAME)["pid"] == pid


def test_its_data_is_as_large_as_its_storage_and_grows_and_shrinks(node, web):
    fill = "dd if=/dev/zero of=/srv/fill bs=1M count=120 2>&1; rm /srv/fill"
    assert "quota" in inside(node, fill).lower()
    node.api.change("POST", f"{PATH}/storage/enlarge", {"size": "100MiB"})
    assert "120+0 records out" in inside(node, fill)
    node.api.change("POST", f"{PATH}/storage/trim", {"to": "100MiB"})
    storage = node.api.get(f"{PATH}/storage")
    assert storage["size"] == 100 * MIB
    # overlay2 in memory cannot bound what is outside of it, and that is said.
    assert storage["layer"]["bounded"] is False
    assert node.api.guest(NAME)["restart_needed"] == []


def test_frozen_it_stands_still_and_thawed_it_goes_on(node, web):
    node.api.act(NAME, "freeze")
    assert node.api.guest(NAME)["state"] == "frozen"
    with pytest.raises(OSError):
        node.fetch(web, timeout=0.3)
    node.api.act(NAME, "thaw")
    node.await_page(web, PAGE)


# --- snapshots ---

def test_a_snapshot_holds_layer_and_data_and_newer_ones_stay(node, web):
    def write(text):
        inside(node, f"echo {text} >/srv/note; echo {text} >/etc/note")

    write("one")
    node.api.change("POST", f"{PATH}/snapshots", {"name": "first"})
    write("two")
    node.api.change("POST", f"{PATH}/snapshots", {"name": "second"})
    for name, text in (("first", "one"), ("second", "two")):
        node.api.change("POST", f"{PATH}/snapshots/{name}/restore")
        node.await_page(web, PAGE)
        assert inside(node, "cat /srv/note /etc/note") == f"{text}\n{text}"
    assert [s["name"] for s in node.api.guest(NAME)["snapshots"]] == ["first", "second"]


def test_a_clone_has_both_and_gets_its_own_name_keys_and_user_data(node, web):
    """The first boot of a container: what a shell in it is given."""
    inside(node, "echo mine >/srv/mine; echo mine >/etc/mine")
    key = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBdW/xSQUtw7v/IFOP9maf8CsdaNQuODMqQH8VdK/E6C "
           "someone@example.org")
    node.api.change("POST", f"{PATH}/actions/clone", {"name": "copy", "ssh_keys": [key]})
    node.api.create("new", driver="docker", user_data="#!/bin/sh\necho ran >>/ran\n")
    try:
        assert inside(node, "hostname; cat /srv/mine /etc/mine", "copy") == "copy\nmine\nmine"
        wait_for("its keys", lambda: node.api.guest("copy")["seed_pending"] == [])
        assert key in inside(node, "cat /root/.ssh/authorized_keys", "copy")
        wait_for("its user data", lambda: inside(node, "cat /ran || :", "new") == "ran")
    finally:
        for name in ("copy", "new"):
            node.api.destroy(name)
    assert node.docker.docker("ps", "-aq").split() == [container(node)["Id"][:12]]


# --- what it outlives ---

def test_it_outlives_agent_and_driver(node, web):
    with node.nothing_noticed(web, page=PAGE):
        agent_and_driver_die(node, NAME)


def test_it_is_there_again_after_dockerd_was_killed(node, web):
    """Which ends it at its next start, for it does not restore what lives."""
    node.docker.kill()
    try:
        wait_for("it is unknown", lambda: node.api.guest(NAME)["state"] == "unknown")
    finally:
        node.docker.start()
    wait_for("it is seen stopped", lambda: node.api.guest(NAME)["state"] == "stopped")
    assert not node.api.guest(NAME).get("pid") and node.links() == []
    node.api.act(NAME, "start")
    node.await_page(web, PAGE)
    assert inside(node, "cat /srv/note") == "two"


def test_after_dockerd_it_comes_back_once_as_its_restart_policy_says(node, web):
    node.api.change("PATCH", PATH, {"restart": {"policy": "always"}})
    before = node.api.guest(NAME)
    node.docker.kill()
    node.docker.start()
    wait_for("it runs again", lambda: node.api.guest(NAME)["restarts"] > before["restarts"])
    node.await_page(web, PAGE)
    again = node.api.guest(NAME)
    assert again["state"] == "running" and again["restarts"] == before["restarts"] + 1
    assert again["pid"] not in (None, before["pid"])
    node.api.change("PATCH", PATH, {"restart": {"policy": "never"}})


def test_a_container_of_somebody_else_is_left_alone(node, web):
    node.docker.docker("run", "--detach", "--name=corpus-somebodys", "--network=none",
                       container(node)["Image"])
    try:
        node.restart()
        wait_for("it is seen running", lambda: node.api.guest(NAME)["state"] == "running")
        assert [g["name"] for g in node.api.guests()] == [NAME]
        # A guest may have the name that its container would have had.
        node.api.create("somebodys", driver="docker", start=False)
        node.remember()
        node.api.destroy("somebodys")
        state = node.docker.docker("inspect", "--format={{.State.Status}}", "corpus-somebodys")
        assert state.strip() == "running"
    finally:
        node.docker.docker("rm", "--force", "corpus-somebodys")


# --- what runs in it ---

def test_another_command_runs_in_the_same_layer_from_the_next_start(node, web):
    inside(node, "echo kept >/etc/mine")
    node.api.change("PATCH", PATH, {"container": {
        "command": ["/bin/sh"], "working_dir": "/srv", "user": "0", "stop_signal": "SIGKILL"}})
    assert sorted(node.api.guest(NAME)["restart_needed"]) == [
        f"container.{member}" for member in ("command", "stop_signal", "user", "working_dir")]
    node.api.act(NAME, "restart")
    assert node.api.guest(NAME)["restart_needed"] == []
    with node.api.console(NAME) as console:
        console.type(b"cat /etc/mine; pwd; echo $((6 * 7))-answered\r")
        console.until_out(b"42-answered")
    assert inside(node, "cat /etc/mine; readlink /proc/1/cwd") == "kept\n/srv"
    node.api.change("PATCH", PATH, {"container": {
        "command": None, "working_dir": None, "user": None, "stop_signal": None}})
    node.api.act(NAME, "restart")
    node.await_page(web, PAGE)
    assert inside(node, "cat /etc/mine") == "kept"


def test_what_cannot_be_executed_is_said_and_nothing_is_left(node, web):
    with pytest.raises(Problem) as refused:
        node.api.create("broken", driver="docker", container={"entrypoint": ["/no/such/program"]})
    assert "/no/such/program" in refused.value.detail
    assert len(node.docker.containers()) == 1 and len(node.links()) == 1


def test_stopped_by_its_own_signal_it_is_quick_and_its_end_is_seen(node, web):
    with node.api.events() as stream:
        node.api.exec(NAME, "kill", "-TERM", "1")
        stream.until(lambda e: e["type"] == "guest.state" and e["state"] == "stopped")
    assert node.links() == []
    node.api.act(NAME, "start")
    node.await_page(web, PAGE)
    node.api.act(NAME, "stop")
    assert container(node)["State"]["ExitCode"] == 0, "it was killed"


def test_destroyed_nothing_of_it_is_left(node, web):
    node.api.act(NAME, "start")
    node.api.destroy(NAME)
    assert node.api.guests() == [] and node.docker.containers() == {}
    node.assert_empty()
