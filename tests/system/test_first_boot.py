"""First boot, through the API: what a new guest finds in its files, what follows later changes, who
may read its password, and what hostile images do to it."""
import contextlib
import os
import pathlib
import re
import warnings

import pytest
from harness import rootfs
from harness.api import Problem
from harness.shell import wait_for

KEY = ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBdW/xSQUtw7v/IFOP9maf8CsdaNQuODMqQH8VdK/E6C "
       "someone@example.org")
OTHER = ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBANcmtZ7rhZ/rntZ"
         "3fQKHQATfOpcwB276qhSegk0ZTfkygonb9za76hRQB2LFeDgS7789nnpC3nnU+UPozXrSrY= other")
NAME = "web1.example.org"
FILES = (("etc/hosts", b"127.0.0.1 localhost\n"),
         ("etc/shadow", b"root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n"))


@pytest.fixture(scope="module")
def node(fake):
    tar = rootfs.busybox_tar(fake.dir / "whole.tar", extra=FILES)
    fake.api.import_image("whole", tar)
    yield fake


@pytest.fixture
def guest(node):
    node.api.create(NAME, driver="fake", image="whole", ssh_keys=[KEY])
    yield node.api.guest(NAME)
    node.clear()


def in_volume(node, guest, path):
    return node.pool / "volumes" / guest["id"] / "rootfs" / path


def read(node, guest, path):
    return in_volume(node, guest, path).read_text()


def credentials(node, name=NAME):
    return node.api.get(f"/v1/guests/{name}/credentials")


def opens(password, shadow):
    hashed = re.search(r"^root:([^:]+):", shadow, re.M).group(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import crypt  # says that it is deprecated when it is imported
        return crypt.crypt(password, hashed) == hashed


def test_a_new_guest_knows_its_name_its_place_and_who_may_come_in(node, guest):
    ssh = next(p["host"] for p in guest["ports"] if p["purpose"] == "ssh")
    assert read(node, guest, "etc/hostname") == f"{NAME}\n"
    assert f"127.0.1.1\t{NAME} web1\n" in read(node, guest, "etc/hosts")
    assert read(node, guest, "this_host") == f"{node.api.get('/v1/node')['name']}\n"
    assert read(node, guest, "this_port") == f"{ssh}\n"
    assert KEY in read(node, guest, "root/.ssh/authorized_keys")
    assert guest["ssh_keys"] == [KEY]


def test_its_password_opens_it_and_is_kept(node, guest):
    first = credentials(node)
    assert first["user"] == "root" and re.fullmatch("[A-Za-z0-9]{24}", first["password"])
    shadow = read(node, guest, "etc/shadow")
    assert opens(first["password"], shadow)
    assert "daemon:*:19000:0:99999:7:::\n" in shadow
    node.api.act(NAME, "restart")
    node.restart()
    assert credentials(node) == first
    assert read(node, guest, "etc/shadow") == shadow


def test_the_password_is_nowhere_else(node, guest):
    password = credentials(node)["password"]
    shown = [node.api.call("GET", path).text
             for path in ("/v1/guests", f"/v1/guests/{NAME}", "/v1/operations", "/v1/node")]
    shown.append(node.api.call("GET", "/v1/events", query={"after": 0, "follow": "false"}).text)
    assert not any(password in text for text in shown + [node.log.read_text(errors="replace")])


def test_keys_come_and_go_at_once_and_those_of_people_stay(node, guest):
    path = in_volume(node, guest, "root/.ssh/authorized_keys")
    path.write_text("ssh-rsa AAAA somebody's own\n" + path.read_text())
    node.api.change("PATCH", f"/v1/guests/{NAME}", {"ssh_keys": [OTHER]})
    text = path.read_text()
    assert OTHER in text and KEY not in text and "somebody's own" in text
    assert path.stat().st_mode & 0o7777 == 0o600
    node.api.change("PATCH", f"/v1/guests/{NAME}", {"ssh_keys": None})
    assert path.read_text() == "ssh-rsa AAAA somebody's own\n"


def test_a_guest_that_is_renamed_finds_its_new_name(node, guest):
    node.api.act(NAME, "rename", {"name": "db.example.org"})
    assert read(node, guest, "etc/hostname") == "db.example.org\n"
    assert "127.0.1.1\tdb.example.org db\n" in read(node, guest, "etc/hosts")


def test_keys_that_have_no_place_are_refused_and_nothing_changes(node, guest):
    path = in_volume(node, guest, "root")
    os.rename(path, path.with_name("elsewhere"))
    path.symlink_to("/")
    before = node.api.guest(NAME)
    with pytest.raises(Problem) as refused:
        node.api.change("PATCH", f"/v1/guests/{NAME}", {"ssh_keys": [OTHER], "slots": 2})
    assert refused.value.code == "conflict"
    assert "/root/.ssh/authorized_keys" in refused.value.detail
    assert node.api.guest(NAME) == before


def test_user_data_are_there_before_the_first_start_and_only_admins_see_them(node):
    script = "#!/bin/sh\necho a-secret\n"
    node.api.create("data.example.org", driver="fake", image="whole", start=False,
                    user_data="first")
    guest = node.api.guest("data.example.org")
    node.api.change("PATCH", "/v1/guests/data.example.org", {"user_data": script})
    path = in_volume(node, guest, "etc/corpus/user-data")
    assert path.read_text() == script and path.stat().st_mode & 0o7777 == 0o700
    shown = node.api.call("GET", "/v1/guests/data.example.org").text
    assert "a-secret" not in shown and f'"user_data_size":{len(script)}' in shown
    assert "a-secret" not in node.api.call("GET", "/v1/operations").text
    assert credentials(node, "data.example.org")["user_data"] == script
    node.api.destroy("data.example.org")


def test_an_image_without_a_place_for_something_goes_without_it(node):
    node.api.create("bare.example.org", driver="fake", image="busybox")
    guest = node.api.guest("bare.example.org")
    assert credentials(node, "bare.example.org")["password"] is None
    assert not in_volume(node, guest, "etc/hosts").exists()
    assert read(node, guest, "etc/hostname") == "bare.example.org\n"
    node.api.destroy("bare.example.org")


@pytest.mark.parametrize("user, role", [(12345, "operator"), (12346, "viewer")])
def test_only_admins_read_credentials(make_node, user, role):
    node = make_node(settings={"access": [{"user": user, "role": role}]}, drivers=("fake",))
    node.api.create(NAME, driver="fake")
    answer = node.api.send_as(user, "GET", f"/v1/guests/{NAME}/credentials")
    assert answer.status == 403


# --- User data that are a script, in real containers -----------------------------------------------

SCRIPT = "#!/bin/sh\necho said; echo ran >>/root/ran\n"


@pytest.fixture
def scripted(lxc):
    """Creates a guest with that script; destroyed afterwards."""
    def make(script, **fields):
        lxc.api.create(NAME, user_data=script, **fields)
        return lxc.api.guest(NAME)
    yield make
    lxc.clear()


def how_it_ended(node, guest):
    """The event about a guest's user data; waited for."""
    def is_it(event):
        return event["type"] == "guest.user_data" and event["id"] == guest["id"]
    with node.api.events(after=0) as stream:
        return stream.until(is_it)[-1]


def runs_of(node, guest):
    path = in_volume(node, guest, "root/ran")
    return path.read_text().split() if path.exists() else []


def test_a_script_is_run_once_and_its_end_is_told(lxc, scripted):
    guest = scripted(SCRIPT + "exit 3\n")
    assert how_it_ended(lxc, guest)["status"] == 3
    assert runs_of(lxc, guest) == ["ran"]
    lxc.api.act(NAME, "restart")
    lxc.restart()
    lxc.api.act(NAME, "restart")
    assert runs_of(lxc, guest) == ["ran"]
    with pytest.raises(Problem) as refused:
        lxc.api.change("PATCH", f"/v1/guests/{NAME}", {"user_data": "#!/bin/sh\n"})
    assert refused.value.code == "conflict" and refused.value.field == "user_data"


def waiters(guest):
    """Processes that wait for the end of a command of the guest."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text() == "corpus-waiter\n" and \
                    guest["id"] in (process / "cgroup").read_text():
                found.append(process.name)
    return found


def test_a_script_outlives_a_kill_of_the_agent_and_is_not_run_again(lxc, scripted):
    guest = scripted("#!/bin/sh\nwhile [ ! -e /root/go ]; do sleep 0.05; done\n" + SCRIPT[10:])
    begun = in_volume(lxc, guest, "etc/corpus/user-data.begun")
    wait_for("the script's beginning", begun.exists)
    # Until the driver has been told that it runs, it would end with the call.
    wait_for("what waits for its end", lambda: waiters(guest))
    lxc.kill9()
    lxc.start()
    in_volume(lxc, guest, "root/go").touch()
    wait_for("its end", lambda: runs_of(lxc, guest))
    lxc.api.act(NAME, "restart")
    assert runs_of(lxc, guest) == ["ran"]


def test_a_script_waits_for_the_first_start(lxc, scripted):
    guest = scripted(SCRIPT, start=False)
    lxc.api.change("PATCH", f"/v1/guests/{NAME}", {"user_data": SCRIPT + "exit 7\n"})
    assert runs_of(lxc, guest) == []
    lxc.api.act(NAME, "start")
    assert how_it_ended(lxc, guest)["status"] == 7
    assert runs_of(lxc, guest) == ["ran"]


def test_a_script_that_is_killed_says_by_what(lxc, scripted):
    guest = scripted("#!/bin/sh\nkill -9 $$\n")
    assert how_it_ended(lxc, guest)["signal"] == "KILL"


def test_what_is_no_script_is_only_laid_down(lxc, scripted):
    guest = scripted("key=value\n")
    assert read(lxc, guest, "etc/corpus/user-data") == "key=value\n"
    assert not in_volume(lxc, guest, "etc/corpus/user-data.begun").exists()
