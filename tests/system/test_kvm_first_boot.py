"""First boot of real machines: what their own hook makes of the disk that they are given, and what is
pushed into one that runs. One boot for all of it, and one of a clone."""
import pytest
from harness.node import BOOT
from harness.shell import wait_for
from test_first_boot import KEY, OTHER, opens

NAME, NEW, CLONE = "vm1.example.org", "vm2.example.org", "clone.example.org"
SCRIPT = "#!/bin/sh\necho \"ran as $(id -u) on $(hostname)\" >>/root/ran\nexit 3\n"


@pytest.fixture(scope="module")
def node(machine_node):
    return machine_node


@pytest.fixture(scope="module")
def guest(node):
    """A machine that has done its first boot."""
    node.api.create(NAME, driver="kvm", ssh_keys=[KEY], user_data=SCRIPT)
    made = node.api.guest(NAME)
    assert made["seed_pending"] == ["user_data"]
    node.ended = how_user_data_ended(node, made)
    return made


def how_user_data_ended(node, guest):
    def is_it(event):
        return event["type"] == "guest.user_data" and event["id"] == guest["id"]
    node.await_boot(guest["name"])
    with node.api.events(after=0, timeout=BOOT) as stream:
        return stream.until(is_it)[-1]


def inside(node, name, *argv):
    done = node.api.exec(name, *argv)
    assert done["status"] == 0, done
    return done["stdout"]


def keys_in(node, name):
    """Root's keys, without comments."""
    lines = inside(node, name, "cat", "/root/.ssh/authorized_keys").splitlines()
    return [line.split()[1] for line in lines if not line.startswith("#")]


def given(*keys):
    return [key.split()[1] for key in keys]


def node_key(node):
    return (node.dir / "state/node_key.pub").read_text()


def wait_until_given(node, name):
    wait_for("all to be given to the machine",
             lambda: not node.api.guest(name)["seed_pending"], BOOT)


def test_it_found_its_name_keys_password_and_place(node, guest):
    assert inside(node, NAME, "hostname") == inside(node, NAME, "cat", "/etc/hostname") == f"{NAME}\n"
    assert f"127.0.1.1\t{NAME} vm1\n" in inside(node, NAME, "cat", "/etc/hosts")
    assert keys_in(node, NAME) == given(KEY, node_key(node))
    password = node.api.get(f"/v1/guests/{NAME}/credentials")["password"]
    assert opens(password, inside(node, NAME, "cat", "/etc/shadow"))
    assert inside(node, NAME, "cat", "/this_host") == f"{node.api.get('/v1/node')['name']}\n"
    assert guest["addresses"][0] in inside(node, NAME, "ip", "address", "show", "eth0")


def test_its_user_data_were_run_once_and_their_end_is_known(node, guest):
    assert node.ended["status"] == 3
    assert inside(node, NAME, "cat", "/root/ran") == f"ran as 0 on {NAME}\n"
    assert node.api.guest(NAME)["seed_pending"] == []


def test_other_keys_and_another_name_reach_it_while_it_runs(node, guest):
    node.api.change("PATCH", f"/v1/guests/{NAME}", {"ssh_keys": [OTHER]})
    wait_until_given(node, NAME)
    assert keys_in(node, NAME) == given(OTHER, node_key(node))
    node.api.change("POST", f"/v1/guests/{NAME}/actions/rename", {"name": NEW})
    wait_until_given(node, NEW)
    assert inside(node, NEW, "hostname") == f"{NEW}\n"


def test_its_clone_is_another_instance(node, guest):
    name = next(g["name"] for g in node.api.guests())
    node.api.change("POST", f"/v1/guests/{name}/actions/clone", {"name": CLONE})
    assert how_user_data_ended(node, node.api.guest(CLONE))["status"] == 3
    assert inside(node, CLONE, "hostname") == f"{CLONE}\n"
    assert inside(node, CLONE, "tail", "-n", "1", "/root/ran") == f"ran as 0 on {CLONE}\n"
    password = node.api.get(f"/v1/guests/{CLONE}/credentials")["password"]
    assert opens(password, inside(node, CLONE, "cat", "/etc/shadow"))
