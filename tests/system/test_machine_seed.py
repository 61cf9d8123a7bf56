"""First boot of machines, through the API: what lies on the disk that they read it from, and how what
changes later gets into one that runs. The machines are the fake driver's: what is pushed into them is
run by a real shell, in a tree that stands for their inside."""
import contextlib
import http.client
import json
import re
import shutil
import time

import pytest
from conftest import node_for
from crash import settle
from harness import faults, iso
from harness.shell import run, wait_for

KEY = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBdW/xSQUtw7v/IFOP9maf8CsdaNQuODMqQH8VdK/E6C "
       "someone@example.org")
NAME, OTHER = "vm1.example.org", "vm2.example.org"
PATH = f"/v1/guests/{NAME}"
APPLETS = "sh cat cp mv rm mkdir chmod sed tr date grep".split()
AWAY = {"exec": {"error": {"code": "unavailable", "message": "nothing answers in it yet"}}}


def lay_machine(folder):
    """What is inside a new machine: a busybox, and files for what boot.sh writes."""
    for name in ("bin", "dev", "etc", "root", "sbin", "proc/sys/kernel", "var/log"):
        (folder / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", folder / "bin/busybox")
    for name in APPLETS:
        (folder / "bin" / name).symlink_to("busybox")
    for path, text in (("etc/hosts", "127.0.0.1 localhost\n"), ("proc/sys/kernel/hostname", ""),
                       ("dev/null", ""), ("sbin/init", "")):
        (folder / path).write_text(text)


@pytest.fixture(scope="module")
def node(request):
    with node_for(request, {"drivers": [{"name": "fake", "endpoint": "disk"}]}) as made:
        lay_machine(made.dir / "state/drivers/fake/machine")
        made.restart()
        run("qemu-img", "create", "-q", "-f", "qcow2", made.dir / "blank.qcow2", "32M")
        made.api.import_image("blank", made.dir / "blank.qcow2", kind="disk")
        yield made


@pytest.fixture
def guest(node):
    node.api.create(NAME, "blank", driver="fake", ssh_keys=[KEY], storage={"size": 64 << 20})
    yield node.api.guest(NAME)
    faults.order(node)
    node.clear()
    node.assert_empty()


def on_seed(node, name, file):
    """A file of the disk that a machine reads its first boot from."""
    disk = node.pool / "volumes" / node.api.guest(name)["id"] / "seed.iso"
    assert iso.label(disk) == "CIDATA"
    return iso.files(disk)[file].decode()


def variable(script, name):
    return re.search(rf"^{name}='?(.*?)'?$", script, re.M).group(1)


def inside(node, guest, path):
    found = node.dir / "state/drivers/fake/roots" / guest["id"] / path
    return found.read_text() if found.exists() else ""


def node_key(node):
    return (node.dir / "state/node_key.pub").read_text()


def block(node, *keys):
    return ("# corpus: keys of this guest; what is between these lines is replaced\n"
            + "".join(f"{key}\n" for key in keys) + node_key(node) + "# corpus: end\n")


def pending(node, name=NAME):
    return node.api.guest(name)["seed_pending"]


def event(node, type, guest, **fields):
    """The newest event of that type about the guest; waited for."""
    def is_it(event):
        return event["type"] == type and event["id"] == guest["id"] \
            and fields.items() <= event.items()
    with node.api.events(after=0) as stream:
        return stream.until(is_it)[-1]


def wait_until_given(node, name=NAME):
    wait_for("all to be given to the machine", lambda: not pending(node, name))


def test_its_disk_holds_all_that_it_is_to_know(node, guest):
    meta_data = json.loads(on_seed(node, NAME, "meta-data"))
    assert meta_data == {"instance-id": guest["id"], "local-hostname": NAME, "public-keys": [KEY]}
    network = json.loads(on_seed(node, NAME, "network-config"))
    assert network["ethernets"]["eth0"]["match"] == {"macaddress": guest["network"]["mac"]}
    script = on_seed(node, NAME, "corpus-seed")
    ssh = next(p["host"] for p in guest["ports"] if p["purpose"] == "ssh")
    assert variable(script, "id") == guest["id"] and variable(script, "name") == NAME
    assert variable(script, "this_port") == str(ssh)
    assert variable(script, "this_host") == node.api.get("/v1/node")["name"]
    assert variable(script, "password").startswith("$6$")
    assert block(node, KEY) in script
    assert on_seed(node, NAME, "user-data") == "#cloud-config\n{}\n"
    assert "text/cloud-boothook" in on_seed(node, NAME, "vendor-data")
    assert pending(node) == []
    # Its password stays the one that it has from the beginning.
    assert node.api.get(f"{PATH}/credentials")["password"]


def test_keys_and_name_are_given_to_it_while_it_runs(node, guest):
    node.api.change("PATCH", PATH, {"ssh_keys": []})
    wait_until_given(node)
    assert inside(node, guest, "root/.ssh/authorized_keys") == block(node)
    assert event(node, "guest.seeded", guest)["parts"] == ["ssh_keys"]
    node.api.change("POST", f"{PATH}/actions/rename", {"name": OTHER})
    wait_until_given(node, OTHER)
    assert inside(node, guest, "etc/hostname") == f"{OTHER}\n"
    assert f"127.0.1.1\t{OTHER} vm2\n" in inside(node, guest, "etc/hosts")
    assert event(node, "guest.seeded", guest, target=OTHER)["parts"] == ["name"]


def test_what_cannot_be_reached_is_tried_again(node, guest):
    faults.order(node, **AWAY)
    began = time.monotonic()
    node.api.change("PATCH", PATH, {"ssh_keys": []})
    assert time.monotonic() - began < 30
    assert pending(node) == ["ssh_keys"]
    # Other operations do not wait for it either.
    node.api.act(NAME, "freeze")
    node.api.act(NAME, "thaw")
    assert pending(node) == ["ssh_keys"]
    faults.order(node)
    wait_until_given(node)
    assert inside(node, guest, "root/.ssh/authorized_keys") == block(node)


def test_what_is_pending_outlives_corpusd_and_is_done_at_the_next_start(node, guest):
    faults.order(node, **AWAY)
    node.api.change("PATCH", PATH, {"ssh_keys": []})
    node.kill9()
    node.start()
    assert pending(node) == ["ssh_keys"]
    node.api.act(NAME, "stop")
    assert pending(node) == ["ssh_keys"]
    faults.order(node)
    node.api.act(NAME, "start")
    assert block(node) in on_seed(node, NAME, "corpus-seed")
    wait_until_given(node)
    assert inside(node, guest, "root/.ssh/authorized_keys") == block(node)


def test_a_script_that_fails_inside_leaves_it_pending(node, guest):
    root = node.dir / "state/drivers/fake/roots" / guest["id"] / "root"
    (root / ".ssh/authorized_keys/in-the-way").mkdir(parents=True)
    node.api.change("PATCH", PATH, {"ssh_keys": []})
    wait_for("a trial", lambda: "not all could be written inside" in node.log.read_text())
    assert pending(node) == ["ssh_keys"]
    shutil.rmtree(root / ".ssh/authorized_keys")
    wait_until_given(node)


def test_a_node_that_lost_its_key_gives_another_to_all_machines(node, guest):
    old = node_key(node)
    node.stop()
    (node.dir / "state/node_key").unlink()
    node.start()
    assert node_key(node) != old
    assert (node.dir / "state/node_key").stat().st_mode & 0o7777 == 0o600
    wait_until_given(node)
    wait_for("the new key in the machine", lambda: inside(
        node, guest, "root/.ssh/authorized_keys") == block(node, KEY))


@pytest.mark.parametrize("path, text, told", [
    ("etc/corpus/user-data.status", "3\n", {"status": 3}),
    ("run/cloud-init/result.json", '{"v1": {"errors": []}}', {"status": 0}),
    ("run/cloud-init/result.json", '{"v1": {"errors": ["x"]}}', {}),
])
def test_how_user_data_ended_is_found_out(node, path, text, told):
    node.api.create(NAME, "blank", driver="fake", user_data="#!/bin/sh\n",
                    storage={"size": 64 << 20})
    guest = node.api.guest(NAME)
    try:
        assert on_seed(node, NAME, "user-data") == "#!/bin/sh\n"
        assert pending(node) == ["user_data"]
        file = node.dir / "state/drivers/fake/roots" / guest["id"] / path
        file.parent.mkdir(parents=True)
        file.write_text(text)
        said = event(node, "guest.user_data", guest)
        assert said.get("status") == told.get("status")
        assert ("message" in said) == (not told)
        assert pending(node) == []
    finally:
        node.api.destroy(NAME)


def test_a_death_while_its_disk_is_made_leaves_nothing_half(node):
    node.restart(faults="storage.seed.made=kill")
    try:
        with contextlib.suppress(OSError, http.client.HTTPException):
            node.api.create(NAME, "blank", driver="fake", storage={"size": 64 << 20})
        node.died()
    finally:
        node.restart()
    settle(node)
    guest = node.api.guest(NAME)
    assert guest["state"] == "running"
    assert variable(on_seed(node, NAME, "corpus-seed"), "id") == guest["id"]
    assert not (node.pool / "volumes" / guest["id"] / ".seed.new").exists()
    node.api.destroy(NAME)


def test_a_clone_is_another_instance_and_a_restored_guest_the_same(node, guest):
    node.api.change("POST", f"{PATH}/snapshots", {"name": "then"})
    node.api.change("POST", f"{PATH}/actions/clone", {"name": OTHER})
    clone = node.api.guest(OTHER)
    assert clone["id"] != guest["id"]
    assert json.loads(on_seed(node, OTHER, "meta-data"))["instance-id"] == clone["id"]
    assert pending(node, OTHER) == []
    node.api.change("PATCH", PATH, {"ssh_keys": []})
    node.api.change("POST", f"{PATH}/snapshots/then/restore")
    assert json.loads(on_seed(node, NAME, "meta-data"))["instance-id"] == guest["id"]
    assert block(node) in on_seed(node, NAME, "corpus-seed")
    wait_until_given(node)
