"""The Debian packages on a real Debian 12: installed, upgraded with a guest running, removed and
purged, across a reboot, under systemd and cgroup v2. What runs in the machine is packages/run."""
import pathlib
import re
import shutil

import pytest
from harness import rootfs, vm
from harness.node import CACHE, TOP
from harness.shell import run

HERE = pathlib.Path(__file__).parent
PACKAGES = TOP / "build/package"
SECONDS = 900


def older(package, to):
    """The same package as a version before would be."""
    tree = to / "tree"
    run("dpkg-deb", "--raw-extract", package, tree)
    control = tree / "DEBIAN/control"
    text = control.read_text()
    version = re.search(r"^Version: (.*)$", text, re.M)[1]
    control.write_text(text.replace(version, f"{version}~before"))
    run("dpkg-deb", "--root-owner-group", "--build", tree, to)
    shutil.rmtree(tree)


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What the machine said, line by line."""
    run(TOP / "dev", "package")
    folder = tmp_path_factory.mktemp("test")
    (folder / "before").mkdir()
    (folder / "now").mkdir()
    for package in PACKAGES.glob("*.deb"):
        if "dbgsym" not in package.name:
            shutil.copy(package, folder / "now")
            older(package, folder / "before")
    rootfs.busybox_tar(folder / "busybox.tar")
    shutil.copy(HERE / "packages/run", folder)
    return vm.run_in(CACHE, folder, SECONDS)


def test_packages_live_a_whole_life_on_a_host(said):
    claims = re.findall(r"^(ok|FAILED) (.*)$", said, re.M)
    assert not [title for result, title in claims if result == "FAILED"], said
    assert said.rstrip().endswith("end"), said
    assert len(claims) == said.count("\nok ") + said.startswith("ok "), said
