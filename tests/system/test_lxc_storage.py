"""Real containers: their storage has the size that was asked for, live."""
import re

import pytest
from harness.api import Problem
from harness.shell import wait_for

MIB = 1 << 20
NAME = "store.example.org"


@pytest.fixture
def store(lxc):
    lxc.api.create(NAME, storage={"size": "200MiB"})
    lxc.remember()
    yield f"/v1/guests/{NAME}/storage"
    lxc.api.destroy(NAME)
    lxc.assert_empty()


def fill(node, file="/fill"):
    """Writes in the guest until it may not; returns the bytes written."""
    node.in_guest(NAME, "/bin/busybox", "sh", "-c",
                  f"dd if=/dev/zero of={file} bs=256k 2>/dev/null; sync", check=False)
    return int(node.in_guest(NAME, "/bin/busybox", "stat", "-c", "%s", file))


def test_the_limit_holds_within_one_percent(lxc, store):
    used = lxc.api.get(store)["used"]
    written = fill(lxc)
    assert abs(used + written - 200 * MIB) <= 2 * MIB, (used, written)
    assert lxc.api.get(store)["used"] <= 202 * MIB


def test_enlarging_a_full_guest_gives_it_room_at_once(lxc, store):
    fill(lxc)
    before = lxc.api.guest(NAME)
    lxc.api.change("POST", f"{store}/enlarge", {"size": "100MiB"})
    more = fill(lxc, "/more")
    assert abs(more - 100 * MIB) <= 3 * MIB, more
    after = lxc.api.guest(NAME)
    assert after["pid"] == before["pid"] and after["storage"]["size"] == 300 * MIB


def test_a_trim_is_enforced_at_once(lxc, store):
    lxc.api.change("POST", f"{store}/trim", {"to": "100MiB"})
    used = lxc.api.get(store)["used"]
    written = fill(lxc)
    assert abs(used + written - 100 * MIB) <= 1 * MIB + MIB // 2, (used, written)


def test_a_trim_below_what_is_used_is_refused_and_names_the_least_size(lxc, store):
    lxc.in_guest(NAME, "/bin/busybox", "sh", "-c", "dd if=/dev/zero of=/half bs=1M count=100; sync")
    etag = lxc.api.call("GET", f"/v1/guests/{NAME}").etag
    with pytest.raises(Problem) as refusal:
        lxc.api.change("POST", f"{store}/trim", {"to": "50MiB"})
    problem = refusal.value.answer.json
    assert problem["status"] == 422 and problem["field"] in ("to", "storage.size")
    least = int(re.search(r"(\d+) bytes", problem["detail"])[1])
    assert 100 * MIB <= least <= 110 * MIB
    assert lxc.api.call("GET", f"/v1/guests/{NAME}").etag == etag
    assert lxc.api.get(store)["size"] == 200 * MIB
    # The size it names is possible.
    lxc.api.change("POST", f"{store}/trim", {"to": least})
    assert lxc.api.get(store)["size"] == least


def test_sizes_survive_restarts_of_guest_and_agent(lxc, store):
    lxc.api.change("POST", f"{store}/enlarge", {"to": "250MiB"})
    lxc.api.act(NAME, "restart")
    lxc.kill9()
    lxc.start()
    assert lxc.api.get(store)["size"] == 250 * MIB
    used = lxc.api.get(store)["used"]
    assert abs(used + fill(lxc) - 250 * MIB) <= 2.5 * MIB


def test_a_destroyed_guests_room_is_free_again(lxc, store):
    before = lxc.api.get("/v1/node")["resources"]["storage"]["used"]
    lxc.api.create("big.example.org", storage={"size": "300MiB"})
    lxc.in_guest("big.example.org", "/bin/busybox", "sh", "-c",
                 "dd if=/dev/zero of=/big bs=1M count=200; sync")
    lxc.api.destroy("big.example.org")
    # btrfs gives the room of what was removed back a little later.
    wait_for("the room is free", lambda: lxc.api.get("/v1/node")["resources"]["storage"]["used"]
             <= before + 20 * MIB)
