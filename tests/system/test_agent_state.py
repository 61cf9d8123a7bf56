"""What the agent keeps in memory, in state.db and on the host stays one thing: operations that wait
behind one another, requests that are refused half-way, restarts in between."""
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import sqlite3
import time

import pytest
import yaml
from crash import kill, settle
from harness import faults, rootfs, testbed
from harness.api import Problem
from harness.shell import run, wait_for

NAME, OTHER = "g.example.org", "h.example.org"
PATH = f"/v1/guests/{NAME}"


@pytest.fixture
def node(fake):
    yield fake
    fake.clear()
    fake.assert_empty()


@contextlib.contextmanager
def lane_held(node, name=NAME):
    """Within it an operation of that guest stands before its driver, which does not answer."""
    pid = node.driver_pid("fake")
    os.kill(pid, signal.SIGSTOP)
    try:
        held = node.api.begin("POST", f"/v1/guests/{name}/actions/restart")
        wait_for("the operation to stand in its step",
                 lambda: node.api.get(f"/v1/operations/{held['id']}")["state"] == "running")
        yield held
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def create(node, name=NAME, **fields):
    return node.api.create(name, driver="fake", **fields)


def state_db(node):
    return contextlib.closing(sqlite3.connect(node.dir / "state/state.db"))


# --- numbers of the node ---

@pytest.mark.parametrize("asked", ["address", "mac"])
def test_a_refused_creation_leaves_other_guests_their_numbers(node, asked):
    other = create(node, OTHER, ports=[{"guest": 80, "host": 45090}])
    taken = other["network"][asked]
    body = {"name": NAME, "image": "busybox", "driver": "fake", "network": {asked: taken}}
    with pytest.raises(Problem) as refused:
        node.api.change("POST", "/v1/guests", body | {"ports": [{"guest": 80, "host": 45090}]})
    assert refused.value.code == "conflict"
    # It would be free now, had the refusal released what it only asked for.
    with pytest.raises(Problem) as refused:
        node.api.change("POST", "/v1/guests", body)
    assert (refused.value.code, refused.value.field) == ("conflict", f"network.{asked}")


def test_a_port_published_again_behind_its_unpublishing_is_held(node):
    create(node, ports=[{"guest": 80, "host": 45091}])
    create(node, OTHER)
    with lane_held(node):
        away = node.api.begin("DELETE", f"{PATH}/ports/tcp/45091")
        again = node.api.begin("PUT", f"{PATH}/ports/tcp/45091", {"guest": 81})
    assert node.api.wait(away["id"])["state"] == "done"
    assert node.api.wait(again["id"])["state"] == "done"
    assert [(p["host"], p["guest"]) for p in node.api.guest(NAME)["ports"]
            if p["guest"] != 22] == [(45091, 81)]
    assert "45091" in node.rules()
    with pytest.raises(Problem) as refused:
        node.api.change("PUT", f"/v1/guests/{OTHER}/ports/tcp/45091", {"guest": 80})
    assert refused.value.code == "conflict"
    # And it is free for others again when it is taken away for good.
    node.api.change("DELETE", f"{PATH}/ports/tcp/45091")
    node.api.change("PUT", f"/v1/guests/{OTHER}/ports/tcp/45091", {"guest": 80})


def test_a_purpose_is_unique_also_among_ports_that_wait(node):
    create(node)
    with lane_held(node):
        begun = [node.api.begin("POST", f"{PATH}/ports", {"guest": port, "purpose": "web"})
                 for port in (80, 81)]
    assert [node.api.wait(op["id"])["state"] for op in begun] == ["done", "failed"]
    assert [p["guest"] for p in node.api.guest(NAME)["ports"] if p["guest"] != 22] == [80]


# --- what was accepted ---

def test_a_dry_run_does_not_count_as_accepted(node):
    create(node)
    with lane_held(node):
        planned = node.api.call("DELETE", PATH, query={"destroy": "true", "dry_run": "true"})
        assert planned.json["verb"] == "guest.destroy"
        stop = node.api.begin("POST", f"{PATH}/actions/stop")
    assert node.api.wait(stop["id"])["state"] == "done"
    assert node.api.guest(NAME)["state"] == "stopped"


def test_what_waited_over_a_restart_is_still_what_the_next_change_is_checked_against(node):
    create(node)
    with lane_held(node):
        destroy = node.api.begin("DELETE", PATH, destroy="true")
        driver = node.driver_pid("fake")
        node.kill9()
        kill(driver)  # or it does what it was asked for, and takes the fault that is the next one's
    with faults.held(node, "stop"):
        node.start()
        with pytest.raises(Problem) as refused:
            node.api.change("POST", f"{PATH}/actions/start")
        assert refused.value.code == "illegal_state" and "destroying" in refused.value.detail
    assert node.api.wait(destroy["id"])["state"] == "done"


def test_a_key_sent_again_after_a_restart_waits_for_the_operation_of_then(node):
    create(node)
    pid = node.driver_pid("fake")
    os.kill(pid, signal.SIGSTOP)
    key = {"Idempotency-Key": "once"}
    with node.api.unanswered("POST", f"{PATH}/actions/restart", headers=key, query={"wait": 60}):
        begun, = wait_for("it to stand in its step", lambda: [
            operation for operation in node.api.get("/v1/operations", target=NAME)["operations"]
            if (operation["verb"], operation["state"]) == ("guest.restart", "running")])
        node.kill9()
    kill(pid)
    faults.order(node, stop={"count": 1, "delay_ms": 1000})
    node.start()
    again = node.api.change("POST", f"{PATH}/actions/restart", headers=key, wait=60)
    assert (again["id"], again["state"]) == (begun["id"], "done")


# --- a driver that is not configured any more ---

@pytest.fixture
def bare(make_node):
    return make_node(drivers=("fake",))


def test_guests_whose_driver_is_gone_are_kept_until_it_is_back(bare):
    create(bare)
    with lane_held(bare):
        queued = [bare.api.begin("POST", f"{PATH}/ports", {"guest": 80, "host": 45092}),
                  bare.api.begin("PATCH", PATH, {"slots": 3}),
                  bare.api.begin("POST", f"{PATH}/actions/stop")]
        bare.kill9()
    bare.configure(drivers=[{"name": "lxc"}])
    bare.start()
    for op in queued:
        ended = bare.api.wait(op["id"])
        assert ended["state"] == "failed" and "driver fake" in ended["error"]["detail"]
    guest = bare.api.guest(NAME)
    assert guest["state"] == "unknown" and guest["slots"] == 1
    slots = bare.api.get("/v1/node/slots")
    assert (slots["used"], slots["reserved"]) == (1, 0)
    assert "driver.fake" in [p["code"] for p in bare.api.get("/v1/node")["problems"]]
    with pytest.raises(Problem) as refused:
        bare.api.destroy(NAME)
    assert "needs the driver fake" in refused.value.detail and refused.value.status == 503
    bare.configure(drivers=[{"name": "fake"}])
    bare.restart()
    wait_for("its state to be seen", lambda: bare.api.guest(NAME)["state"] != "unknown")
    bare.api.act(NAME, "start")
    assert bare.api.guest(NAME)["state"] == "running"
    bare.api.change("PUT", f"{PATH}/ports/tcp/45092", {"guest": 80})


def test_a_creation_cut_off_whose_driver_is_gone_leaves_a_guest_in_error(bare):
    body = {"name": NAME, "image": "busybox", "driver": "fake"}
    bare.restart(faults="ops.guest.create.define.before=kill")
    with contextlib.suppress(OSError, http.client.HTTPException):
        bare.api.change("POST", "/v1/guests", body)
    bare.died()
    bare.configure(drivers=[{"name": "lxc"}])
    bare.start()
    assert wait_for("the guest", lambda: bare.api.guests())[0]["state"] == "error"
    bare.configure(drivers=[{"name": "fake"}])
    bare.restart()
    # Its driver sees that it does not run; that alone is no reason to call it in order.
    assert bare.api.guest(NAME)["state"] == "error"
    bare.api.destroy(NAME)
    bare.assert_empty()


# --- after a boot ---

def verbs_of(node, name):
    return [op["verb"] for op in node.api.get("/v1/operations", target=name)["operations"]]


def test_an_agent_that_dies_before_it_started_the_guests_of_a_boot_starts_them_next_time(bare):
    create(bare, autostart={"on": True})
    create(bare, OTHER, autostart={"on": True})
    bare.api.act(OTHER, "stop")
    bare.pretend_boot()
    if bare.start(faults="state.commit.after=kill"):
        bare.died()
    bare.start()
    wait_for("the start to be accepted", lambda: verbs_of(bare, NAME) ==
             ["guest.start", "guest.create"])
    settle(bare)
    assert bare.api.guest(NAME)["state"] == "running"
    assert bare.api.guest(OTHER)["state"] == "stopped"
    bare.restart()
    assert verbs_of(bare, NAME) == ["guest.start", "guest.create"]


def test_a_clean_stop_says_nothing_of_guests(bare):
    create(bare)
    with lane_held(bare):
        pass
    settle(bare)
    for _ in range(5):  # the driver may be asked about the guest when the end comes
        bare.api.act(NAME, "restart")
        bare.restart()
    with state_db(bare) as db:
        states = [row[0] for row in db.execute(
            "SELECT json FROM events WHERE json LIKE '%guest.state%'")]
    assert states and not [text for text in states if "unknown" in text]


# --- what was lost or put there by others ---

def test_a_guest_whose_creation_was_lost_with_the_journal_can_be_destroyed(bare):
    bare.restart(faults="ops.guest.create.define.before=kill")
    with contextlib.suppress(OSError, http.client.HTTPException):
        create(bare)
    bare.died()
    with state_db(bare) as db:
        db.execute("DELETE FROM operations")
        db.commit()
    bare.start()
    assert bare.api.guest(NAME)["state"] == "error"
    bare.api.destroy(NAME)
    bare.assert_empty()


def problems(node):
    return [problem["code"] for problem in node.api.get("/v1/node")["problems"]]


def problem(node, code):
    return next((problem["message"] for problem in node.api.get("/v1/node")["problems"]
                 if problem["code"] == code), "")


def test_what_nobody_knows_is_one_problem_of_each_kind_until_it_is_gone(make_node):
    node = make_node(settings={"reconcile_interval": "1s"}, drivers=("fake",))
    volumes, there = [f"0123456789a{digit}" for digit in "bc"], node.bed.inside(testbed.NODE)
    paths = [node.dir / "pool/volumes" / id for id in volumes]
    for path in paths:
        run(*there, "btrfs", "subvolume", "create", path)
    [definition] = node.dir.glob(f"state/drivers/fake/{create(node)['id']}.json")
    orphans = [definition.with_name(f"{number:012x}.json") for number in range(100)]
    for path in orphans:
        path.write_text(definition.read_text())

    wait_for("the volumes to be told", lambda: all(
        id in problem(node, "orphan.volumes") for id in volumes))
    told = wait_for("the guests to be told", lambda: problem(node, "orphan.guests.fake"))
    assert "has 100 guests" in told and "and 95 more" in told
    assert set(volumes) <= set(node.volumes())

    run(*there, "btrfs", "subvolume", "delete", *paths)
    for path in orphans:
        path.unlink()
    wait_for("the problems to be gone", lambda: not problem(node, "orphan.volumes") and
             not problem(node, "orphan.guests.fake"))


@contextlib.contextmanager
def standing_still(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        status = pathlib.Path(f"/proc/{pid}/status")
        wait_for("it to stand still", lambda: "T (stopped)" in status.read_text())
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_rules_that_somebody_takes_away_come_back(bare):
    create(bare, ports=[{"guest": 80, "host": 45093}])
    there = bare.bed.inside(testbed.NODE)
    run(*there, "nft", "add table inet theirs { chain c { counter ; } ; }")
    bare.api.act(NAME, "restart")
    assert "net.touched" not in bare.log.read_text()  # our own changes, and others' tables
    with bare.api.events() as stream:
        for damage in ("delete table ip corpus", "flush map ip corpus ports", "flush ruleset"):
            with standing_still(bare.pid):
                run(*there, "nft", *damage.split())
                assert "45093" not in bare.rules()
            stream.until(lambda event: event["type"] == "node.repaired")
            assert "45093" in bare.rules(), damage
    # What repaired them is not taken for another change; it has heard of all that when it can do
    # something else.
    bare.api.act(NAME, "restart")
    touched = bare.log.read_text().count("net.touched")
    bare.api.act(NAME, "restart")
    assert bare.log.read_text().count("net.touched") == touched


def test_an_image_that_came_during_a_round_of_comparison_stays(make_node):
    node = make_node(settings={"reconcile_interval": "1s"}, drivers=("fake",))
    node.restart(faults="reconcile.pool.seen=wait:1500")
    for number in range(8):  # spread over some rounds
        name = f"copy-{number}"
        node.api.import_image(name, rootfs.busybox_tar(node.dir / "copy.tar"))
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            assert name in [image["name"] for image in node.api.get("/v1/images")["images"]]


def test_a_listener_far_behind_gets_all_events_in_order(bare):
    bare.stop()
    with state_db(bare) as db:
        first = db.execute("SELECT max(number) FROM events").fetchone()[0] + 1
        filler = "x" * 300
        db.executemany("INSERT INTO events (number, time_ms, json) VALUES (?, 1, ?)", (
            (number, json.dumps({"number": number, "time": "2026-01-01T00:00:00.000Z",
                                 "type": "node.repaired", "message": filler}))
            for number in range(first, first + 8000)))
        db.commit()
    bare.start()
    with bare.api.events(after=first - 1) as events:
        create(bare)
        seen = events.until(lambda event: event["type"] == "guest.created")
    numbers = [event["number"] for event in seen]
    assert numbers == list(range(first, first + len(numbers))) and len(numbers) > 8000
    answer = bare.api.send("GET", "/v1/events", query={"after": first - 1, "follow": "false"})
    assert answer.text.count("event: node.repaired\n") == 8000


def test_storage_does_not_grow_beyond_what_can_be_written_down(node):
    create(node)
    with pytest.raises(Problem) as refused:
        node.api.change("POST", f"{PATH}/storage/enlarge", {"size": 1 << 50})
    assert (refused.value.code, refused.value.field) == ("invalid", "size")


# --- images ---

def upload(node, **query):
    with contextlib.suppress(OSError, http.client.HTTPException):
        node.api.import_image("late", rootfs.busybox_tar(node.dir / "late.tar"), **query)
    node.died()
    node.start()
    return settle(node)[0]["state"], "late" in [
        image["name"] for image in node.api.get("/v1/images")["images"]]


def test_an_image_that_had_no_name_yet_is_not_there(bare):
    bare.restart(faults="storage.image.sealed=kill")
    assert upload(bare) == ("cancelled", False)
    assert not [entry for entry in (bare.pool / "images").iterdir() if "late" in entry.name]
    bare.api.import_image("late", bare.dir / "late.tar")


@pytest.mark.parametrize("point", ["storage.image.named", "ops.image.import.import.after"])
def test_an_image_that_has_its_name_came_whole_and_is_kept(bare, point):
    bare.restart(faults=f"{point}=kill")
    assert upload(bare) == ("done", True)


def test_a_transfer_that_is_cut_behind_the_archives_end_leaves_the_older_image(bare):
    older = bare.api.import_image("late", rootfs.busybox_tar(bare.dir / "late.tar"))["result"]
    archive = (bare.dir / "late.tar").read_bytes()
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(bare.socket_path))
        link.sendall(b"PUT /v1/images/late?replace=true HTTP/1.1\r\nHost: corpus\r\n"
                     b"Content-Type: application/x-tar\r\n"
                     b"Content-Length: %d\r\n\r\n" % (len(archive) + 512) + archive)
        link.shutdown(socket.SHUT_WR)  # all that was sent arrives, and no more
        wait_for("the import to be over", lambda: settle(bare)[0]["state"] == "failed")
    assert settle(bare)[0]["error"]["code"] == "malformed"
    assert bare.api.get("/v1/images/late") == older


# --- a node in bad shape ---

def test_without_its_pool_a_node_answers_and_refuses_what_needs_it(bare):
    guest = create(bare)
    good = yaml.safe_load(bare.config.read_text())["storage"]
    bare.stop()
    bare.configure(storage=good | {"path": "/dev/null/pool"})
    bare.start()
    assert "storage" in problems(bare)
    assert bare.api.guest(NAME)["state"] == "running"
    body = {"name": OTHER, "image": "busybox", "driver": "fake"}
    for send in (lambda: bare.api.change("POST", "/v1/guests", body),
                 lambda: bare.api.import_image("late", rootfs.busybox_tar(bare.dir / "late.tar")),
                 lambda: bare.api.get(f"{PATH}/storage")):
        with pytest.raises(Problem) as refused:
            send()
        assert refused.value.status in (404, 503), refused.value
    bare.api.act(NAME, "stop")
    bare.configure(storage=good)
    bare.restart()
    assert "storage" not in problems(bare)
    assert bare.api.guest(NAME)["id"] == guest["id"]
    bare.api.act(NAME, "start")


def test_a_full_disk_refuses_changes_and_loses_none(bare):
    bare.stop()
    small, there = bare.dir / "small", bare.bed.inside(testbed.NODE)
    small.mkdir()
    run(*there, "mount", "-t", "tmpfs", "-o", "size=6m", "none", small)
    bare.configure(state_dir=str(small))
    bare.start()
    create(bare)
    filler = bare.bed.seen(small / "filler")
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    accepted, refused = None, None
    for number in range(500):
        try:
            bare.api.change("PATCH", PATH, {"labels": {"number": str(number)}}, wait=2)
            accepted = number
        except Problem as problem:
            refused = problem
            break
        except TimeoutError:  # accepted, but its end cannot be written
            accepted = number
            break
    assert refused.code == "no_room" if refused else accepted < 499, refused
    assert bare.api.guest(NAME)["state"] == "running"
    filler.unlink()
    settle(bare)
    shown = bare.api.guest(NAME)
    assert accepted is None or shown["labels"] == {"number": str(accepted)}
    bare.api.change("PATCH", PATH, {"slots": 2})
    bare.kill9()
    bare.start()
    shown_again = bare.api.guest(NAME)
    assert shown_again["slots"] == 2 and shown_again["labels"] == shown["labels"]


def test_those_who_leave_while_they_wait_harm_nobody(node):
    create(node)
    with lane_held(node) as held:
        for number in range(20):
            for method, path, body in (
                    ("POST", f"{PATH}/actions/stop", None), ("PATCH", PATH, {"slots": number + 1}),
                    ("GET", f"/v1/operations/{held['id']}", None)):
                with contextlib.suppress(OSError):
                    node.api.send(method, path, body, query={"wait": 60}, timeout=0.02)
    settle(node)
    assert node.api.guest(NAME)["state"] == "stopped" and node.api.guest(NAME)["slots"] == 20
    slots = node.api.get("/v1/node/slots")
    assert (slots["used"], slots["reserved"]) == (20, 0)


def test_a_reload_takes_up_what_it_can_and_an_error_changes_nothing(bare):
    create(bare)
    for slots, expected in ((7, 7), ("nonsense", 7), (9, 9)):
        bare.configure(slots=slots)
        before = bare.log.read_text().count("reloaded")
        os.kill(bare.pid, signal.SIGHUP)
        wait_for("the reload", lambda: bare.log.read_text().count("reloaded") > before)
        assert bare.api.get("/v1/node/slots")["total"] == expected
    bare.restart()
