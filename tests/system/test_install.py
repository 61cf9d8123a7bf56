"""What `cmake --install` puts on a machine: every program that corpusd and corpus look for, and what
the builders of images are made of."""
import os
import pathlib
import subprocess

from harness.node import BUILD

EXPECTED = {"sbin/corpusd", "bin/corpus", "libexec/corpus/corpus-driver-lxc",
            "libexec/corpus/corpus-unpack", "libexec/corpus/corpus-session",
            "libexec/corpus/corpus-doctor",
            "libexec/corpus/image-build/busybox",
            "libexec/corpus/image-build/debian", "share/man/man1/corpus.1",
            "share/man/man8/corpusd.8", "share/man/man5/corpusd.yaml.5",
            "share/doc/corpus/examples/corpusd.yaml"}
PARTS = {"libexec/corpus/image-build/" + name for name in
         ("kvm.sh", "busybox-kvm.sh", "debian-kvm.sh", "first-boot")}


def test_an_installation_has_all_that_is_looked_for(tmp_path):
    subprocess.run(["cmake", "--install", BUILD], check=True, stdout=subprocess.DEVNULL,
                   env=dict(os.environ, DESTDIR=str(tmp_path)))
    prefix = tmp_path / "usr/local"
    found = {str(pathlib.Path(folder, name).relative_to(prefix))
             for folder, _, names in os.walk(prefix) for name in names}
    assert EXPECTED | PARTS <= found, (EXPECTED | PARTS) - found
    for path in found - PARTS:
        if path.startswith(("sbin", "bin", "libexec")):
            assert os.access(prefix / path, os.X_OK), path
    done = subprocess.run([prefix / "sbin/corpusd", "--config",
                           prefix / "share/doc/corpus/examples/corpusd.yaml", "--check-config"],
                          check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
