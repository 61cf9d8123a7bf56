"""What `corpus image build --driver docker` makes, without corpus: an OCI image layout, the same each
time, that dockerd loads and runs."""
import contextlib
import hashlib
import json
import subprocess
import tarfile

import pytest
from harness import oci, rootfs, testbed
from harness.dockerd import Dockerd
from harness.http import fetch
from harness.node import CACHE
from harness.shell import wait_for


@pytest.fixture(scope="module")
def bed():
    with testbed.Testbed() as bed:
        yield bed


@pytest.fixture(scope="module")
def dockerd(bed):
    return Dockerd(bed, bridge=True)


def test_the_same_archive_whenever_it_is_built(tmp_path):
    with open(tmp_path / "again.tar", "wb") as out:
        subprocess.run([rootfs.BUILDERS / "busybox", "--driver", "docker"], stdout=out, check=True)
    assert (tmp_path / "again.tar").read_bytes() == oci.busybox_tar(CACHE).read_bytes()


def test_it_is_an_image_layout_whose_digests_are_right():
    with tarfile.open(oci.busybox_tar(CACHE)) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    for name, data in files.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"

    def blob(descriptor):
        data = files["blobs/" + descriptor["digest"].replace(":", "/")]
        assert len(data) == descriptor["size"]
        return data

    manifest = json.loads(blob(json.loads(files["index.json"])["manifests"][0]))
    config = json.loads(blob(manifest["config"]))
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert blob(manifest["layers"][0])
    assert config["config"]["Cmd"] == ["/sbin/init"]


def test_dockerd_runs_it_and_it_ends_when_it_is_told_to(bed, dockerd):
    id = dockerd.docker("load", "--quiet", "--input", oci.busybox_tar(CACHE)).split()[-1]
    dockerd.docker("run", "--detach", "--name=its-page", id)
    address = dockerd.docker("inspect", "--format={{.NetworkSettings.IPAddress}}", "its-page").strip()

    def look():
        with contextlib.suppress(OSError):
            return fetch(bed.socket(testbed.NODE), (address, 80))

    host = dockerd.docker("exec", "its-page", "hostname")
    assert wait_for("its page", look) == (200, host.encode())
    dockerd.docker("stop", "--time=30", "its-page")
    assert dockerd.docker("inspect", "--format={{.State.ExitCode}}", "its-page").strip() == "0"
