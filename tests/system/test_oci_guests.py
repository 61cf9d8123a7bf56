"""What the agent does with guests made of images that their driver's daemon keeps, through the API, on
pretended containers: what runs in them, snapshots and clones of data and layer, what is bounded."""
import os
import pathlib

import pytest
from harness.api import Problem, refused
from harness.machines import CONTAINERS, MIB, Machines
from harness.shell import wait_for

NAME, OTHER = "box.example.org", "other.example.org"
PATH = f"/v1/guests/{NAME}"
SIZE = 64 * MIB


class Containers(Machines):
    """What there is to see of the containers of a node."""

    def place(self, where, name, *rest):
        id = self.node.api.guest(name)["id"]
        return pathlib.Path(self.node.dir / "state/drivers/fake" / where / id, *rest)

    def layer(self, name, text=None):
        """What stands in a file of its layer; with `text`: from now on."""
        file = self.place("roots", name, "file")
        if text is not None:
            file.write_text(text)
        return file.read_text() if file.exists() else None

    def data(self, name, text=None):
        file = self.part(name, "data") / "file"
        if text is not None:
            file.write_text(text)
        return file.read_text() if file.exists() else None

    def both(self, name, text=None):
        return self.layer(name, text), self.data(name, text)

    def kept(self, name):
        place = self.place("kept", name)
        return sorted(entry.name for entry in place.iterdir()) if place.exists() else []

    def aside(self, name):
        return self.place("aside", name).exists()

    def definition(self, name):
        return self.place(".", name).with_suffix(".json").read_text()


@pytest.fixture(scope="module")
def node(kept):
    return kept


@pytest.fixture(scope="module")
def box(node):
    return Containers(node)


@pytest.fixture(autouse=True)
def guest(node, box):
    box.faults()
    made = node.api.create(NAME, "app:1", driver="fake", storage={"size": SIZE})
    yield made
    box.faults()
    node.clear()


def change(node, path, body=None, **query):
    return node.api.change("POST", f"{PATH}/{path}", body, **query)


# --- Making -----------------------------------------------------------------------------------------


def test_a_container_is_as_its_image_says_with_data_at_srv(node, guest, box):
    assert guest["state"] == "running" and guest["image_id"].startswith("sha256:")
    assert guest["container"] == {
        "entrypoint": None, "command": None, "environment": {}, "user": None, "working_dir": None,
        "stop_signal": None, "terminal": True, "data": ["/srv"]}
    assert guest["disk"] is None
    assert box.data(NAME, "kept") == "kept"


def test_what_runs_in_it_is_said_and_comes_to_the_driver(node, box):
    wanted = {"entrypoint": ["/bin/app"], "command": ["a b", ""], "environment": {"KEY": "va=lue"},
              "user": "33:33", "working_dir": "/srv", "stop_signal": 3, "terminal": False,
              "data": ["/srv/one", "/var/lib/two"]}
    made = node.api.create(OTHER, "app:1", driver="fake", container=wanted)
    assert made["container"] == wanted | {"stop_signal": "SIGQUIT"}
    for text in ('"/bin/app"', '"KEY=va=lue"', '"/var/lib/two"', '"SIGQUIT"', made["image_id"]):
        assert text in box.definition(OTHER)


def test_the_drivers_data_paths_are_those_of_new_guests(node):
    def shown():
        return node.api.get("/v1/node")["drivers"][0]["data_paths"]

    drivers, paths = CONTAINERS["drivers"], ["/srv", "/var/lib/app"]
    assert shown() == ["/srv"]
    node.configure(drivers=[drivers[0] | {"data_paths": paths}])
    try:
        node.restart()
        assert shown() == paths
        assert node.api.create(OTHER, "app:1", driver="fake")["container"]["data"] == paths
        made = node.api.create("own", "app:1", driver="fake", container={"data": []})
        assert made["container"]["data"] == []
        node.api.change("PATCH", PATH, {"container": {"user": "nobody"}})
        assert node.api.guest(NAME)["container"]["data"] == ["/srv"]
    finally:
        node.configure(drivers=drivers)
        node.restart()
    assert node.api.guest(OTHER)["container"]["data"] == paths


def test_an_image_that_is_not_there_leaves_nothing(node):
    detail = refused("not_found", "image", node.api.create, OTHER, "missing/app:2", driver="fake")
    assert "corpus image pull missing/app:2" in detail
    assert [g["name"] for g in node.api.guests()] == [NAME]
    assert len(node.volumes()) == 1


def test_bad_fields_are_refused_by_their_path(node):
    refused("invalid", "container.data[1]", node.api.create, OTHER, "app:1", driver="fake",
            container={"data": ["/srv", "/srv/a"]})
    refused("invalid", "image", node.api.create, OTHER, "App", driver="fake")


def test_a_guest_stays_what_it_was_made_of(node, guest):
    """Its image's name means another image by now."""
    node.api.import_image("app:1", __file__, kind="oci", replace="true")
    try:
        assert node.api.guest(NAME)["image_id"] == guest["image_id"]
        images = [i for i in node.api.get("/v1/images")["images"] if i["name"] == "app:1"]
        assert [i["users"] for i in images] == [0]
        made = node.api.create(OTHER, "app:1", driver="fake")
        assert made["image_id"] != guest["image_id"]
    finally:
        node.api.call("POST", "/v1/images", {"name": "app:1"}, query={"wait": 60})


# --- Changes ----------------------------------------------------------------------------------------


def test_a_patch_reaches_the_driver_and_keeps_the_rest(node, box):
    node.api.change("PATCH", PATH, {"container": {"user": "nobody", "environment": {"A": "1"}}})
    node.api.change("PATCH", PATH, {"container": {"environment": {"B": "2"}}})
    container = node.api.guest(NAME)["container"]
    assert container["user"] == "nobody" and container["environment"] == {"A": "1", "B": "2"}
    assert container["data"] == ["/srv"]
    assert '"B=2"' in box.definition(NAME)
    node.api.change("PATCH", PATH, {"container": None})
    assert node.api.guest(NAME)["container"]["environment"] == {}
    assert node.api.guest(NAME)["container"]["data"] == ["/srv"]


def test_a_change_that_the_driver_refuses_is_taken_back(node, box):
    box.faults(update={"count": 1, "error": {"code": "invalid", "message": "no such user"}})
    with pytest.raises(Problem):
        node.api.change("PATCH", PATH, {"container": {"user": "nobody"}})
    assert node.api.guest(NAME)["container"]["user"] is None
    assert "nobody" not in box.definition(NAME)


def needed(node):
    return node.api.guest(NAME)["restart_needed"]


def test_what_waits_for_a_start_is_named_until_then(node, guest):
    def change_user(user):
        node.api.change("PATCH", PATH, {"container": {"user": user}, "slots": 2})

    assert guest["restart_needed"] == []
    change_user("nobody")
    assert needed(node) == ["container.user"]
    change_user(None)
    assert needed(node) == []
    change_user("33")
    node.api.act(NAME, "start")  # it runs already
    node.kill9()
    node.start()
    wait_for("it is seen", lambda: node.api.guest(NAME)["state"] == "running")
    assert needed(node) == ["container.user"]
    node.api.act(NAME, "restart")
    assert needed(node) == []
    node.api.act(NAME, "stop")
    change_user("44")
    assert needed(node) == []
    node.api.act(NAME, "start")
    assert needed(node) == []


def test_one_that_ended_and_was_started_by_its_policy_needs_nothing(node, guest):
    node.api.change("PATCH", PATH, {"restart": {"policy": "always"}, "raw": ["{}"]})
    assert needed(node) == ["raw"]
    os.kill(guest["pid"], 9)
    wait_for("another process",
             lambda: node.api.guest(NAME)["pid"] not in (None, guest["pid"]))
    assert needed(node) == []


def test_put_of_what_is_shown_changes_nothing(node, guest):
    answer = node.api.call("PUT", PATH, {"image": "app:1", "driver": "fake",
                                         "storage": {"size": SIZE}})
    assert answer.status == 200 and node.api.guest(NAME)["etag"] == guest["etag"]


# --- Storage ----------------------------------------------------------------------------------------


def test_storage_tells_of_data_and_layer(node, box):
    storage = node.api.get(f"{PATH}/storage")
    assert storage["size"] == SIZE
    assert storage["layer"] == {"bounded": True, "size": 64 * MIB, "used": MIB}
    box.faults(layer={"error": {"code": "driver_failed", "message": "it is away"}})
    assert node.api.get(f"{PATH}/storage")["layer"] is None


def test_data_are_enlarged_and_trimmed_live(node, guest):
    change(node, "storage/enlarge", {"to": 2 * SIZE})
    assert node.api.get(f"{PATH}/storage")["size"] == 2 * SIZE
    change(node, "storage/trim", {"to": SIZE})
    assert node.api.get(f"{PATH}/storage")["size"] == SIZE
    assert node.api.guest(NAME)["pid"] == guest["pid"]


def test_a_bounded_layer_follows_at_the_next_start(node, box):
    change(node, "storage/enlarge", {"to": 2 * SIZE})
    assert needed(node) == ["storage.size"]
    change(node, "storage/trim", {"to": SIZE})
    assert needed(node) == []
    # Nobody knows whether it is bounded.
    box.faults(layer={"error": {"code": "unavailable", "message": "it is away"}})
    change(node, "storage/enlarge", {"to": 2 * SIZE})
    assert needed(node) == ["storage.size"]
    node.api.act(NAME, "restart")
    assert needed(node) == []
    node.api.act(NAME, "stop")
    change(node, "storage/trim", {"to": SIZE})
    node.api.act(NAME, "start")
    assert needed(node) == []


# --- Snapshots --------------------------------------------------------------------------------------


def test_snapshots_cover_data_and_layer_and_older_ones_keep_newer(node, box, guest):
    for text in ("one", "two"):
        box.both(NAME, text)
        made = change(node, "snapshots", {"name": text})["result"]
        assert made["consistency"] == "filesystem" and not box.held(NAME)
    box.both(NAME, "now")
    change(node, "snapshots/one/restore")
    assert box.both(NAME) == ("one", "one") and not box.aside(NAME)
    assert node.api.guest(NAME)["state"] == "running"
    change(node, "snapshots/two/restore")
    assert box.both(NAME) == ("two", "two")
    node.api.change("DELETE", f"{PATH}/snapshots/one")
    assert box.kept(NAME) == ["two"]
    assert node.snapshots() == {guest["id"]: ["two"]}


def test_a_restore_that_fails_brings_both_back(node, box):
    box.both(NAME, "then")
    change(node, "snapshots", {"name": "then"})
    box.both(NAME, "now")
    box.faults(start={"count": 1, "error": {"code": "driver_failed", "message": "it does not start"}})
    with pytest.raises(Problem):
        change(node, "snapshots/then/restore")
    assert box.both(NAME) == ("now", "now") and not box.aside(NAME)
    assert node.api.guest(NAME)["state"] == "running"


def test_a_snapshot_whose_layer_cannot_be_kept_is_none(node, box):
    # Calls of the layer: what clears its name, then what keeps it.
    box.faults(layer={"skip": 1, "count": 1,
                      "error": {"code": "driver_failed", "message": "no room"}})
    with pytest.raises(Problem):
        change(node, "snapshots", {"name": "then"})
    assert node.api.guest(NAME)["snapshots"] == [] and node.snapshots() == {}
    assert box.kept(NAME) == [] and not box.held(NAME)


def test_a_layer_that_was_kept_too_late_is_not_taken_for_a_new_one(node, box):
    box.both(NAME, "old")
    change(node, "snapshots", {"name": "then"})
    old = box.place("kept", NAME, "then")
    old.rename(old.with_name("late"))
    node.api.change("DELETE", f"{PATH}/snapshots/then")
    old.with_name("late").rename(old)
    box.both(NAME, "now")
    change(node, "snapshots", {"name": "then"})
    box.both(NAME, "newer")
    change(node, "snapshots/then/restore")
    assert box.both(NAME) == ("now", "now")


def test_a_driver_that_is_away_at_the_end_of_a_restore_is_waited_for(node, box):
    box.both(NAME, "then")
    change(node, "snapshots", {"name": "then"})
    # Calls of the layer: restore, then what lets go of what is aside.
    box.faults(layer={"skip": 1, "count": 2,
                      "error": {"code": "unavailable", "message": "it is away"}})
    done = change(node, "snapshots/then/restore")
    assert done["state"] == "done" and not box.aside(NAME)


def test_clones_have_data_and_layer_of_their_own(node, box):
    box.both(NAME, "then")
    change(node, "snapshots", {"name": "then"})
    box.both(NAME, "now")
    change(node, "actions/clone", {"name": OTHER})
    change(node, "actions/clone", {"name": "third", "snapshot": "then", "start": False,
                                   "container": {"user": "nobody"}})
    assert box.both(OTHER) == ("now", "now") and box.both("third") == ("then", "then")
    assert node.api.guest("third")["container"]["user"] == "nobody"
    assert node.api.guest("third")["image_id"] == node.api.guest(NAME)["image_id"]
    assert box.kept(NAME) == ["then"]
    node.api.act("third", "start")
    assert box.both("third") == ("then", "then")


def test_destroy_leaves_nothing(node, box, guest):
    change(node, "snapshots", {"name": "then"})
    node.api.destroy(NAME)
    state = node.dir / "state/drivers/fake"
    assert not list(state.glob(f"*/{guest['id']}")) and not list(state.glob(f"{guest['id']}*"))
    assert node.volumes() == [] and node.snapshots() == {}


# --- First boot, and life ---------------------------------------------------------------------------


def test_keys_wait_where_an_image_has_no_shell(node, guest):
    """Pretended containers have nothing inside; the guest is none the worse for it."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBdW/xSQUtw7v/IFOP9maf8CsdaNQuODMqQH8VdK/E6C a@b"
    made = node.api.create(OTHER, "app:1", driver="fake", ssh_keys=[key])
    assert made["state"] == "running" and made["seed_pending"] == ["ssh_keys"]
    assert guest["seed_pending"] == []
    assert node.api.get(f"/v1/guests/{OTHER}/credentials")["password"] is None


def test_a_container_that_ends_comes_back_as_its_policy_says(node, guest):
    node.api.change("PATCH", PATH, {"restart": {"policy": "always"}})
    os.kill(guest["pid"], 9)
    again = wait_for("it runs again", lambda: running(node, guest["pid"]))
    assert again["restarts"] == 1


def test_one_without_a_policy_stays_ended(node, guest):
    os.kill(guest["pid"], 9)
    wait_for("it has ended", lambda: node.api.guest(NAME)["state"] == "stopped")


def running(node, not_pid):
    guest = node.api.guest(NAME)
    return guest if guest["state"] == "running" and guest["pid"] not in (0, None, not_pid) else None
