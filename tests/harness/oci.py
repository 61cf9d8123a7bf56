"""Images for Docker, made here and kept in the cache: what `corpus image build … --driver docker`
builds. They are made anew when a builder has changed."""
import os
import pathlib
import subprocess
import sys

from .disks import version
from .rootfs import BUILDERS, kept


def busybox_tar(cache):
    return _kept(cache, "busybox")


def debian_tar(cache):
    return _kept(cache, "debian")


def _kept(cache, kind):
    def build(path, _folder):
        with open(path, "wb") as out:
            subprocess.run([BUILDERS / kind, "--driver", "docker"], stdout=out, check=True)
    return kept(cache, f"oci-{kind}-{version('oci.sh', kind)}.tar", build, f"oci-{kind}-*.tar")


KINDS = {"busybox": busybox_tar, "debian": debian_tar}

if __name__ == "__main__":
    CACHE = pathlib.Path(os.environ.get("CORPUS_CACHE", "/var/cache/corpus-dev"))
    for kind in sys.argv[1:] or KINDS:
        print(KINDS[kind](CACHE))
