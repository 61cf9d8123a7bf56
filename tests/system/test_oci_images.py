"""Images that a driver's daemon keeps: pulled with progress, given up, loaded from a stream, listed,
needed by guests, removed; on a driver that pretends to keep them."""
import hashlib
import os

import pytest
from harness import rootfs
from harness.api import Problem, refused
from harness.machines import Machines
from harness.shell import wait_for

REFERENCE = "r.example.org:5000/team/app:V1"
ENCODED = "r.example.org:5000%2Fteam%2Fapp:V1"


@pytest.fixture(scope="module")
def node(kept):
    return kept


@pytest.fixture(autouse=True)
def clean(node):
    yield
    Machines(node).faults()
    node.clear()
    for image in images(node):
        if image != "app:1":
            remove(node, image.replace("/", "%2F"))


def images(node):
    return {i["name"]: i for i in node.api.get("/v1/images")["images"] if i["kind"] == "oci"}


def pull(node, name, **fields):
    return node.api.change("POST", "/v1/images", {"name": name, **fields})


def remove(node, name):
    return node.api.change("DELETE", f"/v1/images/{name}", kind="oci")


def load(node, name, data, **query):
    return node.api.change("PUT", f"/v1/images/{name}", data, kind="oci",
                           headers={"Content-Type": "application/x-tar"}, **query)


def test_a_pulled_image_is_listed_with_what_it_means(node):
    done = pull(node, REFERENCE, kind="oci", driver="fake", pull=True)
    assert done["verb"] == "image.pull" and done["result"]["name"] == REFERENCE
    image = node.api.get(f"/v1/images/{ENCODED}", kind="oci")
    assert image["driver"] == "fake" and image["id"].startswith("sha256:") and image["users"] == 0
    assert "sha256" not in image and images(node)[REFERENCE] == image


def test_a_name_without_a_tag_is_the_latest(node):
    pull(node, "tool")
    assert "tool:latest" in images(node)
    assert node.api.get("/v1/images/tool")["name"] == "tool:latest"
    assert node.api.create("box", "tool", driver="fake")["image_id"] == images(node)["tool:latest"]["id"]


def test_progress_is_seen_and_a_pull_can_be_given_up(node):
    begun = node.api.begin("POST", "/v1/images", {"name": "stalled:1"})
    path = f"/v1/operations/{begun['id']}"
    moving = wait_for("some progress", lambda: (node.api.get(path)["transfer"] or {}).get("done"))
    assert moving > 0
    transfer = node.api.get(path)["transfer"]
    assert transfer["total"] == 4 << 20 and transfer["what"]
    node.api.call("DELETE", path)
    ended = node.api.wait(begun["id"])
    assert ended["state"] == "cancelled" and ended["transfer"] is None
    assert "stalled:1" not in images(node)


def test_events_tell_of_progress(node):
    with node.api.events(after=0) as events:
        pull(node, "seen:1")
        assert events.until(lambda e: e["type"] == "operation.transfer" and e["target"] == "seen:1")


@pytest.mark.parametrize("name, code", [("absent:1", "not_found"), ("denied:1", "denied")])
def test_what_a_registry_refuses_is_said(node, name, code):
    with pytest.raises(Problem) as caught:
        pull(node, name)
    assert caught.value.code == code and name in caught.value.detail
    assert name not in images(node)


@pytest.mark.parametrize("body, field", [
    ({"name": "a/B"}, "name"), ({}, "name"), ({"name": "a", "kind": "tree"}, "kind"),
    ({"name": "a", "pull": False}, "pull"), ({"name": "a", "driver": "other"}, "driver"),
    ({"name": "a", "tag": "1"}, "tag")])
def test_bad_pulls_are_refused(node, body, field):
    refused("invalid", field, node.api.call, "POST", "/v1/images", body)


def test_an_archive_is_loaded_under_its_name_once(node):
    done = load(node, "mine:1", b"an archive")
    assert done["result"]["name"] == "mine:1"
    refused("exists", "name", load, node, "mine:1", b"another")
    first = images(node)["mine:1"]["id"]
    load(node, "mine:1", b"another", replace="true")
    assert images(node)["mine:1"]["id"] != first


def test_bad_loads_are_refused(node):
    refused("invalid", "name", load, node, "Mine", b"x")
    refused("invalid", "driver", load, node, "mine:1", b"x", driver="other")
    refused("invalid", "driver", node.api.change, "PUT", "/v1/images/mine", b"x", driver="fake")
    refused("invalid", "sha256", load, node, "mine:1", b"x", sha256="1234")
    assert "mine:1" not in images(node)


def test_what_its_bytes_must_hash_to_is_for_the_driver_to_see(node):
    load(node, "mine:1", b"x", sha256=hashlib.sha256(b"x").hexdigest())
    assert "mine:1" in images(node)


def test_an_image_is_needed_by_its_guests(node):
    pull(node, "needed:1")
    node.api.create("box", "needed:1", driver="fake")
    assert images(node)["needed:1"]["users"] == 1
    with pytest.raises(Problem) as caught:
        remove(node, "needed:1")
    assert caught.value.code == "conflict" and "1 guests" in caught.value.detail
    node.api.destroy("box")
    remove(node, "needed:1")
    assert "needed:1" not in images(node)


def test_images_of_several_kinds_may_have_one_name(node, tmp_path):
    pull(node, "app:2")
    node.api.import_image("app:2", rootfs.busybox_tar(tmp_path / "busybox.tar"))
    try:
        refused("conflict", "kind", node.api.get, "/v1/images/app:2")
        assert node.api.get("/v1/images/app:2", kind="oci")["kind"] == "oci"
    finally:
        node.api.change("DELETE", "/v1/images/app:2", kind="tree")


def test_reads_go_on_while_the_driver_hangs_and_the_list_is_right_again(node):
    pull(node, "other:1")
    Machines(node).faults(image={"count": 1, "hang": True})
    begun = node.api.begin("POST", "/v1/images", {"name": "late:1"})
    assert "other:1" in images(node)
    Machines(node).faults()
    os.kill(node.driver_pid("fake"), 9)
    assert node.api.wait(begun["id"])["state"] == "done"
    assert "late:1" in images(node)


def test_the_list_is_found_again_after_a_restart(node):
    pull(node, "other:1")
    node.restart()
    wait_for("the images are listed", lambda: "other:1" in images(node))
