"""A Debian with systemd as a guest: it boots, answers, and shuts down when asked."""
import time

import pytest
from harness.node import CACHE
from harness.rootfs import debian_tar
from harness.shell import wait_for

NAME = "debian.example.org"


@pytest.fixture(scope="module")
def debian(lxc):
    lxc.api.import_image("debian", debian_tar(CACHE))
    lxc.api.create(NAME, image="debian", storage={"size": "1GiB"},
                   ports=[{"guest": 80, "host": 45300, "purpose": "web"}])
    lxc.remember()
    yield lxc
    lxc.api.destroy(NAME)
    lxc.api.change("DELETE", "/v1/images/debian")


def test_it_boots_to_the_end_and_answers(debian):
    debian.await_page(45300, seconds=60)
    wait_for("systemd is done", lambda: debian.in_guest(
        NAME, "systemctl", "is-system-running", check=False).strip() in ("running", "degraded"))
    init = debian.in_guest(NAME, "cat", "/proc/1/comm").strip()
    assert init == "systemd"


def test_it_has_the_name_the_node_gave_it(debian):
    assert debian.in_guest(NAME, "cat", "/proc/sys/kernel/hostname").strip() == NAME


def test_it_got_the_address_the_node_gave_it(debian):
    address = debian.api.guest(NAME)["network"]["address"]
    wait_for("its address", lambda: address in debian.in_guest(NAME, "ip", "-4", "address"))


def test_it_shuts_down_when_asked_and_boots_again(debian):
    began = time.monotonic()
    debian.api.act(NAME, "stop", {"timeout": "60s"})
    assert time.monotonic() - began < 50, "it had to be killed"
    debian.api.act(NAME, "start")
    debian.await_page(45300, seconds=60)
