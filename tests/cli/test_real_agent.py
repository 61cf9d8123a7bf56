"""The command line against the real agent, with the fake driver: one life of two guests."""
import base64
import json

import pytest
from cli.conftest import DEADLINE_S, Corpus
from harness.rootfs import busybox_tar
from harness.shell import wait_for

pytestmark = pytest.mark.xdist_group("cli-real-agent")

WEB, DB = "web1.example.org", "db"
ED25519 = b"\0\0\0\x0bssh-ed25519\0\0\0 "


@pytest.fixture(scope="module")
def command(fake, tmp_path_factory):
    """Runs a command that must end well and returns what it printed."""
    run = Corpus(fake.socket_path, tmp_path_factory.mktemp("libexec"))

    def good(*words, **options):
        result = run(*words, **options)
        assert result.returncode == 0, f"{words}: {result.returncode}\n{result.stderr}"
        return result.stdout

    good.run = run
    return good


@pytest.fixture
def web(command):
    command("create", WEB, "-i", "busybox", "-d", "fake", "-m", "64MiB", "--size", "300MiB",
            "-p", "45080:80:web", "-l", "team=web")
    yield WEB
    command("destroy", WEB, "--yes")


@pytest.fixture
def db(command):
    command("create", DB, "-i", "busybox", "-d", "fake", "--size", "100MiB", "--no-start")
    yield DB
    command("destroy", DB, "--yes")


def of(command, *words):
    return json.loads(command("--json", *words))


def test_keys_that_are_added_at_once_are_all_there(web, command, fake):
    """Each command gives way to those that were faster."""
    keys = [f"ssh-ed25519 {base64.b64encode(ED25519 + bytes([i]) * 32).decode()}" for i in range(6)]
    running = [command.run.start("key", "add", web, key + " somebody") for key in keys]
    for process in running:
        _, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, err
    assert {key.rsplit(" ", 1)[0] for key in fake.api.guest(web)["ssh_keys"]} == set(keys)


def test_a_new_guest_says_how_it_is_reached(command):
    said = command("create", WEB, "-i", "busybox", "-d", "fake", "-p", "45080:80:web")
    assert said.startswith(f"{WEB}: running\n") and ":45080/tcp leads to 80" in said
    assert command("destroy", WEB, "-y") == f"{WEB}: destroyed\n"
    assert command.run("show", WEB).returncode == 3


def test_what_is_there_is_shown(web, command):
    assert WEB in command("list") and "45080:80" in command("list", "--state", "running")
    assert WEB not in command("list", "--state", "stopped")
    assert command("list", "web*").count("\n") == 2
    assert "memory 64 MiB" in command("show", WEB) and "team=web" in command("show", WEB)
    assert "300 MiB" in command("storage", WEB)
    assert WEB in command("slots") and "fake" in command("node")
    assert "45080" in command("ports") and "45080" in command("ports", WEB)
    assert "guest.create" in command("operations", "--target", WEB)
    assert "corpusd " in command("version")


def test_a_guest_is_stopped_started_and_killed(web, command):
    for word, state in [("stop", "stopped"), ("start", "running"), ("restart", "running"),
                        ("kill", "stopped")]:
        command(word, web)
        assert of(command, "show", web)["state"] == state
    assert "nothing was done" in command("stop", web)


def test_one_of_several_that_is_missing_leaves_the_others(web, db, command):
    result = command.run("start", db, "nope", web)
    assert result.returncode == 3 and "nope" in result.stderr
    assert of(command, "show", db)["state"] == "running"


def test_settings_are_changed_and_taken_back(web, command):
    assert "would run" in command("set", web, "memory=128MiB", "-n")
    command("set", web, "memory=128MiB", "label.team=", "label.note=x", "env=prod", "autostart=off")
    guest = of(command, "show", web)
    assert guest["limits"]["memory"] == 128 << 20 and guest["labels"] == {"note": "x"}
    assert guest["environment"] == "prod" and not guest["autostart"]["on"]
    command("set", web, "memory=")
    assert of(command, "show", web)["limits"]["memory"] is None


def test_storage_grows_and_shrinks(web, command):
    assert "500 MiB" in command("enlarge", web, "200MiB")
    assert "400 MiB" in command("trim", web, "--to", "400MiB")
    result = command.run("trim", web, "--to", "1KiB")
    assert result.returncode == 2 and "to" in result.stderr


def test_ports_are_published_switched_and_taken_back(web, db, command):
    command("start", db)
    assert f"port 80 of {DB}" in command("publish", db, "80")
    assert f"45081/tcp leads to port 81 of {WEB}" in command("publish", web, "45081:81",
                                                             "--purpose", "api")
    assert f"leads to port 81 of {DB}" in command("switch", "45081", "--to", db)
    assert command.run("publish", web, "45081:81").returncode == 5
    command("unpublish", db, "45081")
    assert command.run("unpublish", db, "45081").returncode == 3
    assert "45053/udp" in command("publish", db, "45053:53/udp")


def test_a_file_makes_guests_as_they_are_described(db, command):
    described = [{"name": DB, "image": "busybox", "driver": "fake", "storage": {"size": "100MiB"},
                  "limits": {"pids": 99}}]
    text = json.dumps(described)
    command("apply", "-f", "-", stdin=text)
    assert of(command, "show", DB)["limits"]["pids"] == 99
    assert "nothing was done" in command("apply", "-f", "-", stdin=text)


def test_images_come_from_files_streams_and_directories(command, tmp_path):
    archive = busybox_tar(tmp_path / "busybox.tar")
    (tmp_path / "root/bin").mkdir(parents=True)
    (tmp_path / "root/bin/init").write_bytes(b"x" * 1000)
    command("image", "import", "file", str(archive))
    command("image", "import", "directory", str(tmp_path / "root"))
    assert command.run("image", "import", "file", str(archive)).returncode == 5
    command("image", "import", "file", str(tmp_path / "root"), "--replace")
    wrong = command.run("image", "import", "wrong", str(archive), "--sha256", "0" * 64)
    assert wrong.returncode == 2 and "sha256" in wrong.stderr
    assert {"busybox", "directory", "file"} == {
        image["name"] for image in of(command, "image", "list")["images"]}
    assert "directory" in command("image", "show", "directory")
    command("image", "delete", "file", "directory")


def test_a_change_that_is_not_waited_for_is_followed_later(web, command):
    operation = of(command, "restart", web, "--no-wait")["id"]
    assert command("operation", operation, "--wait") == f"{operation}: done\n"
    assert "done" in command("operation", operation)
    assert command.run("cancel", operation).returncode == 5


def test_a_node_that_drains_takes_no_guests(command):
    try:
        assert "drain" in command("node", "--mode", "drain")
        result = command.run("create", "more", "-i", "busybox", "-d", "fake")
        assert result.returncode == 6 and "drain" in result.stderr
    finally:
        command("node", "--mode", "active", "-q")


def test_events_tell_what_happened(web, command):
    events = [json.loads(line) for line in command("--json", "events").splitlines()]
    numbers = [event["number"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert any(event["type"] == "guest.state" and event["target"] == web for event in events)
    assert command("events", "--after", str(numbers[-1])) == ""


def test_top_shows_what_is_used(web, command):
    def row():
        return next(line for line in command("top", "--once").splitlines() if line.startswith(web))

    # Nothing is known of its first moments.
    wait_for("it is measured", lambda: row().split()[2] != "-")
    name, state, cpu, *_ = row().split()
    assert (name, state) == (web, "running") and float(cpu) >= 0 and "iB" in row()


def test_names_are_completed(web, command):
    assert command("__complete", "--", "show", "we") == f"{WEB}\n"


def test_others_may_read_or_not_at_all(web, command):
    """Nobody has a role here."""
    process = command.run.start("list", user=65534, group=65534)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4 and "access" in err
