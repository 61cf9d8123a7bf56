"""Renaming: the name changes wherever it is known, and nothing else does."""
import socket
import struct

import pytest
from harness import faults, lend, testbed
from harness.api import Problem
from harness.shell import wait_for

OLD, NEW = "old.example.org", "new.example.org"
KEPT = ("id", "network", "ports", "created", "state", "pid", "since")


@pytest.fixture
def web(lxc):
    """A running guest with its page published; destroyed afterwards, whatever its name is."""
    with lend.web(lxc, OLD) as port:
        yield port


def rename(node, old, new, **options):
    return node.api.act(old, "rename", {"name": new}, **options)


def resolve(node, name):
    """What the guests' name server says: an address, or None (RFC 1035, 4.1)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    question = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    with node.bed.socket(testbed.NODE, kind=socket.SOCK_DGRAM) as asking:
        asking.settimeout(60)
        asking.sendto(question, ("10.5.0.1", 53))
        answer = asking.recv(512)
    return socket.inet_ntoa(answer[-4:]) if struct.unpack(">H", answer[6:8])[0] else None


def test_a_running_guest_has_its_new_name_at_once_and_all_else_stays(lxc, web):
    before = lxc.api.guest(OLD)
    address = before["network"]["address"]
    assert resolve(lxc, OLD) == address
    with lxc.nothing_noticed(web):
        done = rename(lxc, OLD, NEW)
        assert done["target"] == OLD and done["result"]["name"] == NEW
        after = lxc.api.guest(NEW)
        assert [after[k] for k in KEPT] == [before[k] for k in KEPT]
        assert after["etag"] != before["etag"]
        with pytest.raises(Problem) as gone:
            lxc.api.guest(OLD)
        assert gone.value.status == 404
        assert lxc.in_guest(NEW, "hostname").strip() == NEW
        wait_for("its new name resolves", lambda: resolve(lxc, NEW) == address)
        wait_for("its old name does not", lambda: resolve(lxc, OLD) is None)
    assert [g["name"] for g in lxc.api.guests()] == [NEW]
    lxc.restart()
    assert [lxc.api.guest(NEW)[k] for k in ("id", "network", "ports")] == \
        [before[k] for k in ("id", "network", "ports")]
    lxc.api.act(NEW, "restart")
    assert lxc.in_guest(NEW, "hostname").strip() == NEW
    assert lxc.in_guest(NEW, "hostname").strip() in (NEW, "new")
    lxc.await_page(web)


def test_a_stopped_guest_starts_under_its_new_name(lxc, web):
    lxc.api.act(OLD, "stop")
    rename(lxc, OLD, NEW)
    assert lxc.api.guest(NEW)["state"] == "stopped"
    lxc.api.act(NEW, "start")
    assert lxc.in_guest(NEW, "hostname").strip() == NEW
    assert lxc.in_guest(NEW, "hostname").strip() in (NEW, "new")
    lxc.await_page(web)


def test_a_name_that_is_longer_than_a_kernel_takes_is_cut_at_its_first_dot(lxc, web):
    long = "long." + ".".join(["label"] * 15) + ".example.org"
    rename(lxc, OLD, long)
    assert lxc.in_guest(long, "hostname").strip() == "long"
    lxc.api.act(long, "restart")
    assert lxc.in_guest(long, "hostname").strip() == "long"
    assert lxc.in_guest(long, "cat", "/etc/hostname") == f"{long}\n"


def test_a_name_that_a_guest_gave_itself_outlives_other_changes(lxc, web):
    lxc.in_guest(OLD, "hostname", "self-made")
    lxc.api.change("PATCH", f"/v1/guests/{OLD}", {"limits": {"pids": 200}})
    assert lxc.in_guest(OLD, "hostname").strip() == "self-made"


def test_the_old_name_is_free_afterwards(lxc, web):
    rename(lxc, OLD, NEW)
    other = lxc.api.create(OLD, start=False)
    assert other["id"] != lxc.api.guest(NEW)["id"]
    with pytest.raises(Problem) as taken:
        rename(lxc, OLD, NEW)
    assert (taken.value.code, taken.value.field) == ("exists", "name")


def test_the_same_name_again_changes_nothing(lxc, web):
    assert rename(lxc, OLD, OLD)["changed"] is False
    with pytest.raises(Problem) as stale:
        rename(lxc, OLD, NEW, headers={"If-Match": '"000000000000-1"'})
    assert stale.value.status == 412
    assert lxc.api.plan("POST", f"/v1/guests/{OLD}/actions/rename", {"name": NEW})["changed"]
    # A plan keeps no name.
    rename(lxc, OLD, NEW)


@pytest.mark.parametrize("body, field", [
    ({}, "name"), ({"name": "UPPER"}, "name"), ({"name": "10.0.0.1"}, "name"), ({"name": 7}, "name"),
    ({"name": NEW, "start": True}, "start")])
def test_a_bad_name_is_refused_by_its_field(fake, body, field):
    fake.api.create("bad.example.org", driver="fake")
    with pytest.raises(Problem) as refused:
        fake.api.act("bad.example.org", "rename", body)
    assert (refused.value.status, refused.value.field) == (422, field)
    fake.api.destroy("bad.example.org")


@pytest.fixture
def slow(fake):
    """A fake guest that tests may be slow to rename."""
    fake.api.create("slow.example.org", driver="fake")
    yield
    faults.order(fake)
    fake.clear()


def test_a_name_on_its_way_to_a_guest_is_nobody_elses(fake, slow):
    fake.api.create("other.example.org", driver="fake")
    with faults.held(fake, "update"):
        begun = fake.api.begin("POST", "/v1/guests/slow.example.org/actions/rename", {"name": NEW})
        for act in (lambda: fake.api.create(NEW, driver="fake"),
                    lambda: rename(fake, "other.example.org", NEW),
                    lambda: fake.api.change("PUT", f"/v1/guests/{NEW}",
                                            {"image": "busybox", "driver": "fake"})):
            with pytest.raises(Problem) as taken:
                act()
            assert (taken.value.status, taken.value.field) == (409, "name")
        assert fake.api.guest("slow.example.org")["name"] == "slow.example.org"
    assert fake.api.wait(begun["id"])["result"]["name"] == NEW


def test_a_name_being_created_cannot_be_taken(fake, slow):
    body = {"name": NEW, "image": "busybox", "driver": "fake"}
    with faults.held(fake, "start"):
        begun = fake.api.begin("POST", "/v1/guests", body)
        with pytest.raises(Problem) as taken:
            rename(fake, "slow.example.org", NEW)
        assert (taken.value.code, taken.value.field) == ("exists", "name")
    assert fake.api.wait(begun["id"])["state"] == "done"


def test_two_renames_of_one_guest_follow_each_other(fake, slow):
    path = "/v1/guests/slow.example.org/actions/rename"
    with faults.held(fake, "update"):
        first, second, back = (fake.api.begin("POST", path, {"name": name})
                               for name in (NEW, "last.example.org", "slow.example.org"))
    assert [fake.api.wait(o["id"])["state"] for o in (first, second, back)] == ["done"] * 3
    assert [g["name"] for g in fake.api.guests()] == ["slow.example.org"]
    fake.api.create(NEW, driver="fake")


def test_a_rename_that_fails_leaves_the_old_name_and_frees_the_new_one(fake, slow):
    faults.order(fake, update={"count": 1, "error": {"code": "driver_failed", "message": "no ink"}})
    before = fake.api.guest("slow.example.org")
    with pytest.raises(Problem) as failed:
        rename(fake, "slow.example.org", NEW)
    assert failed.value.code == "driver_failed" and "no ink" in failed.value.detail
    assert fake.api.guest("slow.example.org")["name"] == before["name"]
    fake.api.create(NEW, driver="fake")


def test_it_is_told_by_an_event(fake, slow):
    with fake.api.events() as stream:
        rename(fake, "slow.example.org", NEW)
        event = stream.until(lambda e: e["type"] == "guest.renamed")[-1]
    assert (event["target"], event["previous"]) == (NEW, "slow.example.org")
    assert event["id"] == fake.api.guest(NEW)["id"]
