"""Images for Docker, made here and kept in the cache: what `corpus image build … --driver docker`
builds. They are made anew when a builder has changed."""
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile

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


def new_tar(path):
    """One that nobody has had before: an OCI image layout with a layer of chance."""
    with tarfile.open(path, "w") as tar:
        def add(name, data):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))

        def blob(data, type):
            digest = hashlib.sha256(data).hexdigest()
            add(f"blobs/sha256/{digest}", data)
            return {"mediaType": f"application/vnd.oci.image.{type}", "digest": f"sha256:{digest}",
                    "size": len(data)}

        def text(value, type):
            return blob(json.dumps(value).encode(), type)

        layer = blob(_layer(os.urandom(1 << 18)), "layer.v1.tar")
        config = text({"os": "linux", "architecture": "amd64", "config": {},
                       "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}},
                      "config.v1+json")
        manifest = text({"schemaVersion": 2, "config": config, "layers": [layer]},
                        "manifest.v1+json")
        add("index.json", json.dumps({"schemaVersion": 2, "manifests": [manifest]}).encode())
    return path


def _layer(data):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("chance")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


KINDS = {"busybox": busybox_tar, "debian": debian_tar}

if __name__ == "__main__":
    CACHE = pathlib.Path(os.environ.get("CORPUS_CACHE", "/var/cache/corpus-dev"))
    for kind in sys.argv[1:] or KINDS:
        print(KINDS[kind](CACHE))
