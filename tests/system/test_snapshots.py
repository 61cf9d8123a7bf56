"""Snapshots and restores of real containers: what is on their storage, and what stays theirs."""
import calendar
import re
import time

import pytest
from harness import lend, testbed
from harness.api import Problem
from harness.shell import run, wait_for

NAME = "snap.example.org"
PATH = f"/v1/guests/{NAME}"
MIB = 1 << 20
KEPT = ("id", "network", "ports", "created", "storage", "limits", "labels")


@pytest.fixture
def web(lxc):
    """A running guest with its page published; destroyed afterwards."""
    with lend.web(lxc, NAME, storage={"size": "64MiB"}) as port:
        yield port
    assert not list((lxc.pool / "snapshots").glob("*")), "snapshots stayed behind"


def snapshot(node, name=None):
    return node.api.change("POST", f"{PATH}/snapshots", name and {"name": name})["result"]


def restore(node, name, body=None):
    return node.api.change("POST", f"{PATH}/snapshots/{name}/restore", body)["result"]


def names(node):
    found = [s["name"] for s in node.api.get(f"{PATH}/snapshots")["snapshots"]]
    assert [s["name"] for s in node.api.guest(NAME)["snapshots"]] == found
    return found


def write(node, text, path="/root/note"):
    node.in_guest(NAME, "sh", "-c", f"echo {text} >{path}")


def read(node, path="/root/note"):
    """Of the guest's root, running or not, as the host sees it."""
    file = node.pool / "volumes" / node.api.guest(NAME)["id"] / "rootfs" / path.lstrip("/")
    return file.read_text().strip() if file.exists() else None


# --- snapshots ---

def test_a_snapshot_has_a_name_and_a_time_and_the_guest_notices_nothing(lxc, web):
    before, began = lxc.api.guest(NAME), time.time()
    with lxc.nothing_noticed(web):
        made = [snapshot(lxc), snapshot(lxc), snapshot(lxc, "by-hand")]
    assert names(lxc) == [s["name"] for s in made] and made[2]["name"] == "by-hand"
    for one in made[:2]:
        assert re.fullmatch(r"\d{8}t\d{6}z(-\d+)?", one["name"]), one
        stamp = calendar.timegm(time.strptime(one["name"][:16], "%Y%m%dt%H%M%Sz"))
        assert int(began) <= stamp <= time.time()
        assert one["created"].startswith(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stamp)))
    assert lxc.api.get(f"{PATH}/snapshots/by-hand") == made[2]
    after = lxc.api.guest(NAME)
    assert after["pid"] == before["pid"] and after["etag"] != before["etag"]
    lxc.restart()
    assert names(lxc) == [s["name"] for s in made]


def test_what_there_is_cannot_be_made_again_and_what_there_is_not_cannot_be_used(lxc, web):
    snapshot(lxc, "one")
    with pytest.raises(Problem) as taken:
        snapshot(lxc, "one")
    assert (taken.value.code, taken.value.field) == ("exists", "name")
    for method, path in (("GET", "/two"), ("DELETE", "/two"), ("POST", "/two/restore")):
        answer = lxc.api.send(method, f"{PATH}/snapshots{path}")
        assert (answer.status, answer.json["field"]) == (404, "snapshot")
    assert lxc.api.send("GET", "/v1/guests/nobody/snapshots").status == 404


@pytest.mark.parametrize("body, field", [
    ({"name": "Upper"}, "name"), ({"name": ".hidden"}, "name"), ({"name": "a/b"}, "name"),
    ({"name": ""}, "name"), ({"name": "x" * 64}, "name"), ({"name": 1}, "name"), ({"at": 1}, "at")])
def test_bad_input_is_refused_by_its_field(lxc, body, field):
    lxc.api.create(NAME, start=False)
    answer = lxc.api.send("POST", f"{PATH}/snapshots", body)
    assert (answer.status, answer.json["field"]) == (422, field)
    answer = lxc.api.send("POST", f"{PATH}/snapshots/x/restore", {"start": "yes"})
    assert (answer.status, answer.json["field"]) == (422, "start")
    assert names(lxc) == []
    lxc.api.destroy(NAME)


def test_a_deleted_snapshot_is_gone_and_gives_back_its_room(lxc, web):
    first = snapshot(lxc, "first")
    snapshot(lxc, "second")
    done = lxc.api.change("DELETE", f"{PATH}/snapshots/first")
    assert "result" not in done and names(lxc) == ["second"]
    assert [p.name for p in (lxc.pool / "snapshots" / lxc.api.guest(NAME)["id"]).iterdir()] == \
        ["second"]
    # Its name can be used again.
    assert snapshot(lxc, "first")["created"] > first["created"]


def test_a_stranger_in_the_pool_is_not_taken_for_a_new_snapshot(lxc, web):
    snapshot(lxc, "mine")
    folder = lxc.dir / "pool/snapshots" / lxc.api.guest(NAME)["id"]
    inside = lxc.bed.inside(testbed.NODE)
    run(*inside, "btrfs", "-q", "subvolume", "snapshot", "-r", folder / "mine", folder / "stranger")
    with pytest.raises(Problem) as found:
        snapshot(lxc, "stranger")
    assert found.value.code == "exists" and names(lxc) == ["mine"]


def test_a_dry_run_and_a_stale_tag_make_none(lxc, web):
    plan = lxc.api.plan("POST", f"{PATH}/snapshots", {"name": "never"})
    assert plan["verb"] == "guest.snapshot" and "snapshot" in plan["steps"]
    with pytest.raises(Problem) as stale:
        lxc.api.change("POST", f"{PATH}/snapshots", headers={"If-Match": '"000000000000-1"'})
    assert stale.value.status == 412 and names(lxc) == []


def test_the_same_key_makes_one_snapshot(lxc, web):
    headers = {"Idempotency-Key": "one-snapshot"}
    first, again = (lxc.api.change("POST", f"{PATH}/snapshots", headers=headers) for _ in range(2))
    assert again["id"] == first["id"] and again["result"] == first["result"]
    assert names(lxc) == [first["result"]["name"]]


# --- restores ---

def test_an_older_state_comes_back_and_then_a_newer_one(lxc, web):
    before = lxc.api.guest(NAME)
    for number in ("1", "2", "3"):
        write(lxc, number)
        snapshot(lxc, f"at-{number}")
    write(lxc, "now")
    for wanted in ("1", "3", "2"):
        now = restore(lxc, f"at-{wanted}")
        assert now["state"] == "running" and read(lxc) == wanted
        assert [now[k] for k in KEPT] == [before[k] for k in KEPT]
        assert names(lxc) == ["at-1", "at-2", "at-3"]
        lxc.await_page(web)
        assert lxc.in_guest(NAME, "cat", "/root/note").strip() == wanted
        write(lxc, "spoilt")
    assert not [p for p in lxc.volumes() if p.startswith(".")], "something was left aside"


def test_a_guest_keeps_the_name_it_has_now(lxc, web):
    snapshot(lxc, "s")
    lxc.api.act(NAME, "rename", {"name": "other.example.org"})
    done = lxc.api.change("POST", "/v1/guests/other.example.org/snapshots/s/restore")
    assert done["result"]["name"] == "other.example.org"
    assert lxc.in_guest("other.example.org", "cat", "/etc/hostname") == "other.example.org\n"
    lxc.api.act("other.example.org", "rename", {"name": NAME})


def test_a_stopped_guest_stays_stopped_unless_told_otherwise(lxc, web):
    write(lxc, "kept")
    snapshot(lxc, "s")
    lxc.api.act(NAME, "stop")
    for body, state in ((None, "stopped"), ({"start": True}, "running"), (None, "running"),
                        ({"start": False}, "stopped")):
        assert restore(lxc, "s", body)["state"] == state
        assert lxc.api.guest(NAME)["state"] == state
        assert read(lxc) == "kept"
    assert lxc.monitors() == {} and lxc.links() == []


def test_a_frozen_guest_runs_after_its_restore(lxc, web):
    snapshot(lxc, "s")
    lxc.api.act(NAME, "freeze")
    assert restore(lxc, "s")["state"] == "running"
    lxc.await_page(web)


def test_a_full_guest_can_be_snapshotted_and_restored(lxc, web):
    lxc.in_guest(NAME, "sh", "-c", "dd if=/dev/zero of=/root/fill bs=1M; true")
    snapshot(lxc, "full")
    lxc.in_guest(NAME, "rm", "/root/fill")
    write(lxc, "room")
    assert restore(lxc, "full")["state"] == "running"
    used = lxc.api.get(f"{PATH}/storage")
    assert used["used"] > 50 * MIB and used["used"] <= used["size"]
    # It may still hold its full size live, whatever the snapshot holds.
    lxc.in_guest(NAME, "rm", "/root/fill")
    lxc.in_guest(NAME, "dd", "if=/dev/zero", "of=/root/again", "bs=1M", "count=40")


def test_what_needs_more_room_than_the_guest_has_now_is_refused_and_changes_nothing(lxc, web):
    lxc.in_guest(NAME, "dd", "if=/dev/urandom", "of=/root/fill", "bs=1M", "count=40")
    snapshot(lxc, "big")
    lxc.in_guest(NAME, "rm", "/root/fill")
    write(lxc, "small")
    wait_for("the room is free", lambda: lxc.api.get(f"{PATH}/storage")["least"] < 20 * MIB)
    lxc.api.change("POST", f"{PATH}/storage/trim", {"to": "20MiB"})
    with pytest.raises(Problem) as refused:
        restore(lxc, "big")
    assert (refused.value.status, refused.value.field) == (422, "storage.size")
    # It was ended for it, and goes on as it was.
    assert lxc.api.guest(NAME)["state"] == "running" and read(lxc) == "small"
    lxc.await_page(web)
    lxc.api.change("POST", f"{PATH}/storage/enlarge", {"to": "64MiB"})
    assert restore(lxc, "big")["state"] == "running"


def test_a_restore_to_what_cannot_start_brings_the_old_state_back(lxc, web):
    """The snapshot was taken while the guest had lost its init."""
    lxc.in_guest(NAME, "busybox", "mv", "/sbin/init", "/sbin/init.away")
    snapshot(lxc, "broken")
    lxc.in_guest(NAME, "busybox", "mv", "/sbin/init.away", "/sbin/init")
    write(lxc, "whole")
    with pytest.raises(Problem) as failed:
        restore(lxc, "broken")
    assert failed.value.code == "driver_failed"
    assert lxc.api.guest(NAME)["state"] == "running" and read(lxc) == "whole"
    lxc.await_page(web)
    assert names(lxc) == ["broken"]
    assert not [p for p in lxc.volumes() if p.startswith(".")]


def test_a_guest_that_cannot_start_at_all_is_told_and_can_be_restored_later(lxc, web):
    snapshot(lxc, "good")
    lxc.in_guest(NAME, "busybox", "mv", "/sbin/init", "/sbin/init.away")
    snapshot(lxc, "broken")
    with pytest.raises(Problem):
        restore(lxc, "broken")
    guest = lxc.api.guest(NAME)
    assert guest["state"] == "error" and "cannot be started" in guest["problem"]
    assert restore(lxc, "good", {"start": True})["state"] == "running"
    lxc.await_page(web)


def test_events_tell_of_snapshots_and_restores(lxc, web):
    with lxc.api.events() as stream:
        snapshot(lxc, "e")
        restore(lxc, "e")
        lxc.api.change("DELETE", f"{PATH}/snapshots/e")
        seen = stream.until(lambda e: e["type"] == "snapshot.deleted")
    told = [(e["type"], e["target"]) for e in seen if e.get("snapshot") == "e"]
    assert told == [("snapshot.created", NAME), ("guest.restored", NAME), ("snapshot.deleted", NAME)]


def test_there_are_at_most_256(fake):
    fake.api.create("many.example.org", driver="fake", start=False)
    path = "/v1/guests/many.example.org/snapshots"
    for number in range(256):
        fake.api.begin("POST", path, {"name": f"s{number}"})
    with pytest.raises(Problem) as full:
        fake.api.change("POST", path)
    assert full.value.code == "conflict" and "delete one" in full.value.detail
    assert len(fake.api.get(path)["snapshots"]) == 256
    fake.api.destroy("many.example.org")
    assert not list((fake.pool / "snapshots").glob("*"))
