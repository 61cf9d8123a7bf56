"""What the agent does with guests that have a disk, through the API, on pretended machines: images by
kind, larger and smaller disks, snapshots with and without memory."""
import contextlib
import sqlite3

import pytest
from crash import kill
from harness import machines
from harness.api import refused
from harness.machines import MIB, Machines
from harness.shell import wait_for

NAME, OTHER = "box.example.org", "other.example.org"
PATH = f"/v1/guests/{NAME}"
SIZE = 96 * MIB
PORT = {"guest": 80, "host": 45090, "purpose": "web"}


@pytest.fixture(scope="module")
def node(pretended):
    """With an image of machines that help with nothing."""
    mute = machines.kernel_tar(pretended.dir, pretended.dir / "ext4.qcow2", "quiet no-help")
    pretended.api.import_image("mute", mute, kind="disk")
    return pretended


@pytest.fixture(scope="module")
def box(node):
    return Machines(node)


@pytest.fixture(autouse=True)
def guest(node, box):
    """A running machine for each test, as new."""
    box.faults()
    made = node.api.create(NAME, "disk", driver="fake", storage={"size": SIZE}, ports=[PORT])
    yield made
    box.faults()
    node.clear()


def change(node, path, body=None, **query):
    return node.api.change("POST", f"{PATH}/{path}", body, **query)


def snapshot(node, **body):
    return change(node, "snapshots", body)["result"]


def restore(node, name, **body):
    return change(node, f"snapshots/{name}/restore", body)


# --- images ---


def test_an_image_of_each_kind_may_have_the_same_name(node, guest):
    node.api.import_image("busybox", machines.ext4_disk(node.dir, "same.qcow2"), kind="disk",
                          boot="uefi")
    images = [i for i in node.api.get("/v1/images")["images"] if i["name"] == "busybox"]
    assert [image["kind"] for image in images] == ["tree", "disk"]
    assert images[1]["disk"] == {"format": "qcow2", "boot": "uefi", "size": machines.DISK_SIZE}
    assert "of the kinds tree and disk" in refused("conflict", "kind", node.api.get,
                                               "/v1/images/busybox")
    refused("conflict", "kind", node.api.change, "DELETE", "/v1/images/busybox")
    assert node.api.get("/v1/images/busybox", kind="disk") == images[1]
    made = node.api.create(OTHER, driver="fake", storage={"size": SIZE})
    assert made["disk"] == {"format": "qcow2", "boot": "uefi"}
    users = {i["kind"]: i["users"] for i in node.api.get("/v1/images")["images"]
             if i["name"] == "busybox"}
    assert users == {"tree": 0, "disk": 1}
    node.api.change("DELETE", "/v1/images/busybox", kind="disk")
    assert node.api.get("/v1/images/busybox")["kind"] == "tree"
    node.api.act(OTHER, "restart")  # its image may go


def test_a_wrong_or_missing_image_is_named_with_what_to_do(node, guest):
    detail = refused("not_found", "image", node.api.create, OTHER, driver="fake")
    assert "driver fake takes images of the kind disk" in detail and "busybox" in detail
    assert "only there as a tree" in detail
    assert "no image gone of the kind disk" in refused(
        "not_found", "image", node.api.create, OTHER, "gone", driver="fake")
    assert [g["name"] for g in node.api.guests()] == [NAME]


def test_a_disk_that_lies_is_refused_and_leaves_nothing(node, guest):
    folder, before = node.dir, node.api.get("/v1/images")
    raw, qcow2 = folder / "lie.raw", folder / "lie.qcow2"
    raw.write_bytes(b"\0" * MIB)
    machines.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", qcow2,
                 "1M")
    for path, query in ((raw, {"format": "qcow2"}), (raw, {}),
                        (folder / "ext4.qcow2", {"format": "raw"}), (qcow2, {})):
        refused("invalid", "format", node.api.import_image, "lie", path, kind="disk", **query)
    for query, field in (({"kind": "tape"}, "kind"), ({"format": "vmdk"}, "format"),
                         ({"boot": "kernel"}, "boot"), ({"kind": "tree", "boot": "bios"}, "boot")):
        refused("invalid", field, node.api.import_image, "lie", raw, **query)
    assert node.api.get("/v1/images") == before
    assert not [entry for entry in (node.pool / "images/disk").iterdir() if "lie" in entry.name
                or entry.name.startswith(".")]


def test_a_disk_smaller_than_its_image_is_refused_with_the_least_size(node, guest):
    detail = refused("invalid", "storage.size", node.api.create, OTHER, "disk", driver="fake",
                     storage={"size": machines.DISK_SIZE - 1})
    assert str(machines.DISK_SIZE) in detail


# --- a machine's life ---


def test_a_machine_lives_as_any_guest(node, box, guest):
    assert (guest["state"], guest["disk"]) == ("running", {"format": "qcow2", "boot": "bios"})
    node.api.act(NAME, "freeze")
    node.api.act(NAME, "thaw")
    for verb, state in (("stop", "stopped"), ("start", "running"), ("restart", "running"),
                        ("kill", "stopped"), ("start", "running")):
        assert node.api.act(NAME, verb)["result"]["state"] == state
    node.api.change("PATCH", PATH, {"limits": {"memory": "256MiB", "cpus": 1.5}})
    node.api.act(NAME, "rename", {"name": OTHER})
    node.api.act(OTHER, "rename", {"name": NAME})
    node.api.create(OTHER, "disk", driver="fake", storage={"size": SIZE})
    node.api.change("POST", "/v1/ports/tcp/45090/switch", {"to": OTHER})
    assert [how for how, _ in box.said(NAME)] == ["boots"] * 4
    node.restart()
    assert node.api.guest(NAME)["state"] == "running"


def test_the_node_says_what_the_driver_takes(node, guest):
    [driver] = node.api.get("/v1/node")["drivers"]
    assert (driver["image_kind"], driver["usable"]) == ("disk", True)
    assert driver["notice"] == "its machines are pretended"
    assert not [p for p in node.api.get("/v1/node")["problems"] if p["code"].startswith("driver")]


def test_what_a_driver_takes_is_remembered(node, box, guest):
    """After a start of the node guests are made before it answers; one that never did is waited for."""
    node.stop()
    box.faults(probe={"hang": True})
    node.start()
    [driver] = node.api.get("/v1/node")["drivers"]
    assert (driver["usable"], driver["image_kind"]) == (False, "disk")
    node.api.create(OTHER, "disk", driver="fake", storage={"size": SIZE})
    node.stop()
    with contextlib.closing(sqlite3.connect(node.dir / "state/state.db")) as db:
        db.execute("DELETE FROM settings WHERE key = 'driver.fake.image_kind'")
        db.commit()
    node.start()
    detail = refused("unavailable", "driver", node.api.create, "third", "disk", driver="fake")
    assert "driver fake has not answered" in detail and "again" in detail
    refused("unavailable", "driver", node.api.begin, "POST", "/v1/images", {"name": "app:1"})
    box.faults()
    kill(wait_for("the driver's process", lambda: node.driver_pid("fake")))
    wait_for("its answer", lambda: node.api.get("/v1/node")["drivers"][0].get("image_kind"))
    node.api.create("third", "disk", driver="fake", storage={"size": SIZE})


# --- storage ---


def test_a_running_machine_gets_a_larger_disk_and_grows_into_it(node, box, guest):
    done = change(node, "storage/enlarge", {"size": 32 * MIB})
    assert done["result"]["file_system"] == "grown"
    assert done["result"]["storage"]["size"] == box.size(NAME) == SIZE + 32 * MIB
    asked = node.api.get(f"/v1/operations/{done['id']}")
    assert asked["result"]["file_system"] == "grown"
    assert box.life(NAME) == box.said(NAME)[0][1]


def test_a_stopped_machine_grows_at_its_next_boot(node, box, guest):
    node.api.act(NAME, "stop")
    done = change(node, "storage/enlarge", {"to": 128 * MIB})
    assert done["result"]["file_system"] == "next_boot" and box.size(NAME) == 128 * MIB
    assert node.api.act(NAME, "start")["result"]["state"] == "running"


def test_a_machine_that_helps_with_nothing_grows_at_its_next_boot(node, box, guest):
    node.api.create(OTHER, "mute", driver="fake", storage={"size": SIZE})
    path = f"/v1/guests/{OTHER}"
    done = node.api.change("POST", f"{path}/storage/enlarge", {"to": 128 * MIB})
    assert done["result"]["file_system"] == "next_boot"
    assert refused("unsupported", None, node.api.change, "POST", f"{path}/storage/trim",
                   {"discard": True})
    made = node.api.change("POST", f"{path}/snapshots", {"name": "s"})["result"]
    assert made["consistency"] == "crash"


def test_an_enlarge_that_the_driver_fails_changes_nothing(node, box, guest):
    box.faults(disk={"error": {"code": "driver_failed", "message": "no"}})
    refused("driver_failed", None, change, node, "storage/enlarge", {"to": 128 * MIB})
    assert box.size(NAME) == SIZE == node.api.guest(NAME)["storage"]["size"]
    box.faults()
    assert change(node, "storage/enlarge", {"to": 128 * MIB})["state"] == "done"


def test_what_is_not_used_is_returned(node, box, guest):
    done = change(node, "storage/trim", {"discard": True})
    assert done["result"]["discarded"] == MIB and done["result"]["storage"]["size"] == SIZE
    refused("invalid", "discard", change, node, "storage/trim", {"discard": True, "to": "1GiB"})
    node.api.act(NAME, "stop")
    assert "while it runs" in refused("illegal_state", "discard", change, node, "storage/trim",
                                      {"discard": True})


def test_a_disk_is_made_smaller_only_while_its_machine_does_not_run(node, box, guest):
    least = node.api.get(f"{PATH}/storage")["least"]
    assert 3 * MIB < least < 48 * MIB
    for dry in ({}, {"dry_run": "true"}):
        detail = refused("illegal_state", "restart", node.api.call, "POST", f"{PATH}/storage/trim",
                         {"to": 48 * MIB}, query={"wait": 60, **dry})
        assert "the least possible size is" in detail
        refused("invalid", "storage.size", node.api.call, "POST", f"{PATH}/storage/trim",
                {"to": MIB, "restart": True}, query={"wait": 60, **dry})
    assert len(box.said(NAME)) == 1 and box.size(NAME) == SIZE
    done = change(node, "storage/trim", {"to": 48 * MIB, "restart": True})
    assert done["result"]["state"] == "running" and done["result"]["discarded"] == MIB
    assert box.size(NAME) == 48 * MIB == done["result"]["storage"]["size"]
    assert [how for how, _ in box.said(NAME)] == ["boots", "boots"]


def test_a_stopped_machine_stays_stopped_with_its_smaller_disk(node, box, guest):
    node.api.act(NAME, "stop")
    assert change(node, "storage/trim", {"to": 48 * MIB})["result"]["state"] == "stopped"
    assert box.size(NAME) == 48 * MIB
    disk = box.part(NAME, "disk.qcow2")
    machines.run("qemu-img", "check", "-q", disk)


def test_what_holds_no_ext4_says_why_it_stays(node, box, guest):
    raw = node.dir / "blank.raw"
    raw.write_bytes(b"\0" * MIB)
    node.api.import_image("blank", raw, format="raw", replace="true")
    node.api.create(OTHER, "blank", driver="fake", storage={"size": SIZE}, start=False)
    usage = node.api.get(f"/v1/guests/{OTHER}/storage")
    assert (usage["least"], usage["trimmable"]) == (SIZE, 0) and usage["reason"]
    detail = refused("unsupported", "storage.size", node.api.change, "POST",
                     f"/v1/guests/{OTHER}/storage/trim", {"to": 48 * MIB})
    assert usage["reason"] in detail and str(SIZE) in detail


def test_a_machine_that_does_not_start_again_keeps_its_disk(node, box, guest):
    box.faults(start={"count": 1, "error": {"code": "driver_failed", "message": "no"}})
    refused("driver_failed", None, change, node, "storage/trim", {"to": 48 * MIB, "restart": True})
    guest = node.api.guest(NAME)
    assert (guest["state"], guest["storage"]["size"]) == ("running", SIZE)
    assert box.size(NAME) == SIZE


# --- snapshots ---


def test_a_snapshot_says_what_its_files_are_like(node, box, guest):
    assert snapshot(node, name="running")["consistency"] == "filesystem"
    assert not box.held(NAME)
    node.api.act(NAME, "freeze")
    assert snapshot(node, name="frozen")["consistency"] == "crash"
    node.api.act(NAME, "kill")
    assert snapshot(node, name="stopped")["consistency"] == "stopped"
    kept = node.api.guest(NAME)["snapshots"]
    assert [s["consistency"] for s in kept] == ["filesystem", "crash", "stopped"]
    assert not any(s["memory"] for s in kept)


def test_a_snapshot_that_took_too_long_is_none(node, box, guest):
    node.restart(faults="ops.guest.snapshot.held=fail@1")
    detail = refused("timeout", None, snapshot, node, name="late")
    assert "longer than" in detail and not box.held(NAME)
    assert node.api.guest(NAME)["snapshots"] == [] and node.snapshots() == {}
    node.restart()


def test_a_machine_goes_on_from_the_memory_of_a_snapshot(node, box, guest):
    life = box.life(NAME)
    assert snapshot(node, name="old", memory=True)["memory"] is True
    assert node.api.guest(NAME)["state"] == "running" and box.said(NAME)[-1] == ("goes on", life)
    assert not box.part(NAME, "memory").exists()
    node.api.act(NAME, "restart")
    assert box.life(NAME) != life
    snapshot(node, name="new")
    restore(node, "old")
    assert box.said(NAME)[-1] == ("goes on", life)
    assert [s["name"] for s in node.api.guest(NAME)["snapshots"]] == ["old", "new"]
    restore(node, "old", memory=False)
    assert box.said(NAME)[-1][0] == "boots" and box.life(NAME) != life
    restore(node, "new")
    assert box.said(NAME)[-1][0] == "boots"
    assert "memory" in refused("conflict", "memory", restore, node, "new", memory=True)


def test_a_larger_disk_of_then_is_refused_before_the_machine_is_ended(node, box, guest):
    assert snapshot(node, name="large")["size"] == SIZE
    change(node, "storage/trim", {"to": 48 * MIB, "restart": True})
    life = box.life(NAME)
    assert str(SIZE) in refused("invalid", "storage.size", restore, node, "large")
    assert box.life(NAME) == life and node.api.guest(NAME)["state"] == "running"
    change(node, "storage/enlarge", {"to": SIZE})
    restore(node, "large")
    assert box.size(NAME) == SIZE


def test_a_smaller_disk_of_then_gets_the_size_of_now(node, box, guest):
    snapshot(node, name="small")
    change(node, "storage/enlarge", {"to": 128 * MIB})
    assert restore(node, "small")["result"]["storage"]["size"] == 128 * MIB == box.size(NAME)


def test_memory_waits_for_the_next_start(node, box, guest):
    life = box.life(NAME)
    snapshot(node, name="s", memory=True)
    restore(node, "s", start=False)
    assert box.part(NAME, "memory").exists()
    assert "start it first" in refused("illegal_state", None, change, node, "storage/trim",
                                       {"to": 48 * MIB})
    assert snapshot(node, name="again")["memory"] is True  # it has it, too
    node.api.act(NAME, "start")
    assert box.said(NAME)[-1] == ("goes on", life)
    assert not box.part(NAME, "memory").exists()


def test_a_clone_of_memory_boots(node, box, guest):
    snapshot(node, name="s", memory=True)
    made = node.api.change("POST", f"{PATH}/actions/clone", {"name": OTHER, "snapshot": "s"})
    assert made["result"]["disk"] == guest["disk"]
    assert [how for how, _ in box.said(OTHER)] == ["boots"]
    assert not box.part(OTHER, "memory").exists() and box.size(OTHER) == SIZE


def test_memory_is_kept_of_running_machines_only(node, box, guest):
    node.api.act(NAME, "freeze")
    assert "thaw it" in refused("illegal_state", "memory", snapshot, node, memory=True)
    node.api.act(NAME, "kill")
    refused("illegal_state", "memory", snapshot, node, memory=True)


def test_memory_that_cannot_be_kept_leaves_the_machine_running(node, box, guest):
    life = box.life(NAME)
    box.faults(save={"error": {"code": "driver_failed", "message": "no"}})
    refused("driver_failed", None, snapshot, node, memory=True)
    assert node.api.guest(NAME)["state"] == "running" and box.life(NAME) == life
    box.faults(start={"count": 1, "error": {"code": "driver_failed", "message": "no"}})
    refused("driver_failed", None, snapshot, node, memory=True)
    assert node.api.guest(NAME)["state"] == "running"
    assert box.said(NAME)[-1] == ("goes on", life)
    assert node.api.guest(NAME)["snapshots"] == [] and node.snapshots() == {}


def test_memory_that_cannot_be_gone_on_from_is_given_up_only_to_run_again(node, box, guest):
    """Starting fails twice: in the snapshot, and when that is undone; then it boots."""
    box.faults(start={"count": 2, "error": {"code": "driver_failed", "message": "no"}})
    refused("driver_failed", None, snapshot, node, memory=True)
    assert node.api.guest(NAME)["state"] == "running" and box.said(NAME)[-1][0] == "boots"


def test_a_restore_that_fails_says_how_to_do_without_memory(node, box, guest):
    snapshot(node, name="s", memory=True)
    box.faults(start={"count": 1, "error": {"code": "driver_failed", "message": "no"}})
    assert '"memory": false' in refused("driver_failed", None, restore, node, "s")
    assert node.api.guest(NAME)["state"] == "running"
