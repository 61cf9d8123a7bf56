"""oci_layout.py SAVED OCI COMPRESS: makes an OCI image layout in OCI of what `docker save` wrote
(unpacked in SAVED), with layers compressed by that command, beside an image for another machine."""
import hashlib
import json
import pathlib
import subprocess
import sys

saved, oci = map(pathlib.Path, sys.argv[1:3])
OCI = "application/vnd.oci.image."
MACHINE = {"os": "linux", "architecture": "amd64"}


def blob(data, type, **more):
    digest = hashlib.sha256(data).hexdigest()
    path = oci / "blobs/sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"mediaType": OCI + type, "digest": f"sha256:{digest}", "size": len(data), **more}


def text(value, type, **more):
    return blob(json.dumps(value).encode(), type, **more)


image = json.loads((saved / "manifest.json").read_text())[0]
config = json.loads((saved / image["Config"]).read_text())
MACHINE["architecture"] = config["architecture"]
layers = [blob(subprocess.run(sys.argv[3], shell=True, check=True, capture_output=True,
                              input=(saved / layer).read_bytes()).stdout,
               "layer.v1.tar" + ("+gzip" if "gzip" in sys.argv[3] else ""))
          for layer in image["Layers"]]
manifest = {"schemaVersion": 2, "config": text(config, "config.v1+json"), "layers": layers}
other = text({"schemaVersion": 2, "config": text({}, "config.v1+json"), "layers": []},
             "manifest.v1+json", platform={"os": "linux", "architecture": "s390x"})
both = {"schemaVersion": 2,
        "manifests": [other, text(manifest, "manifest.v1+json", platform=MACHINE)]}
(oci / "index.json").write_text(json.dumps(
    {"schemaVersion": 2, "manifests": [text(both, "index.v1+json")]}))
(oci / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
