"""What `cmake --install` puts on a machine: every program that corpusd and corpus look for, and what
the builders of images are made of."""
import os
import pathlib
import subprocess

import pytest
from harness.node import BUILD, TOP

EXPECTED = {"sbin/corpusd", "bin/corpus", "libexec/corpus/corpus-driver-lxc",
            "libexec/corpus/corpus-driver-kvm", "libexec/corpus/corpus-driver-docker",
            "libexec/corpus/corpus-gate", "libexec/corpus/corpus-iso", "libexec/corpus/corpus-unpack", "libexec/corpus/corpus-session",
            "libexec/corpus/corpus-doctor",
            "libexec/corpus/image-build/busybox",
            "libexec/corpus/image-build/debian", "share/man/man1/corpus.1",
            "share/man/man8/corpusd.8", "share/man/man5/corpusd.yaml.5",
            "share/doc/corpus/examples/corpusd.yaml"}
PARTS = {"libexec/corpus/image-build/" + name for name in
         ("kvm.sh", "busybox-kvm.sh", "debian-kvm.sh", "oci.sh", "first-boot")}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    to = tmp_path_factory.mktemp("install")
    subprocess.run(["cmake", "--install", BUILD], check=True, stdout=subprocess.DEVNULL,
                   env=dict(os.environ, DESTDIR=str(to)))
    return to / "usr/local"


def files_below(prefix):
    return {str(pathlib.Path(folder, name).relative_to(prefix))
            for folder, _, names in os.walk(prefix) for name in names}


def test_an_installation_has_all_that_is_looked_for(prefix):
    found = files_below(prefix)
    assert EXPECTED | PARTS <= found, (EXPECTED | PARTS) - found
    for path in found - PARTS:
        if path.startswith(("sbin", "bin", "libexec")):
            assert os.access(prefix / path, os.X_OK), path
    done = subprocess.run([prefix / "sbin/corpusd", "--config",
                           prefix / "share/doc/corpus/examples/corpusd.yaml", "--check-config"],
                          check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_containers_execute_first_is_not_for_all_to_read(prefix):
    assert (prefix / "libexec/corpus/corpus-gate").stat().st_mode & 0o777 == 0o711


def test_each_program_is_in_one_of_the_packages(prefix):
    packaged = [words[0].removeprefix("usr/") for file in TOP.glob("debian/*.install")
                for words in map(str.split, file.read_text().splitlines()) if words]
    for path in files_below(prefix):
        if path.startswith(("sbin", "bin", "libexec")):
            owners = [entry for entry in packaged if path == entry or path.startswith(f"{entry}/")]
            assert len(owners) == 1, f"{path} is in {owners or 'no package'}: see debian/*.install"
