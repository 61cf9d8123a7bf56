# shellcheck shell=sh
# Functions of the builders of images for Docker: an archive that is an OCI image layout, which Docker
# from 25 on, podman and skopeo read, and what `docker save` writes, which every Docker reads. The same
# tree makes the same archive. A builder sets $work, a folder to work in.

: "${work:?}"

# oci_add FILE: makes it a blob; sets $digest and $size.
oci_add()
{
	mkdir -p "$work/out/blobs/sha256"
	digest=$(sha256sum "$1" | cut -d' ' -f1)
	size=$(stat -c %s "$1")
	mv "$1" "$work/out/blobs/sha256/$digest"
	digest=sha256:$digest
}

# oci_tar [OPTION]...: tar of what is the same whenever it is made.
oci_tar()
{
	tar --create --numeric-owner --sort=name --mtime=@0 --format=posix \
		--pax-option='exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime' "$@"
}

oci_architecture()
{
	case $(uname -m) in
	x86_64) echo amd64 ;;
	aarch64) echo arm64 ;;
	*) uname -m ;;
	esac
}

# oci_config TITLE CONFIG LAYER
oci_config()
{
	cat <<END
{
  "architecture": "$(oci_architecture)",
  "os": "linux",
  "created": "1970-01-01T00:00:00Z",
  "config": {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    "Labels": {"org.opencontainers.image.title": "$1"},
    $2
  },
  "rootfs": {"type": "layers", "diff_ids": ["$3"]},
  "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "corpus image build"}]
}
END
}

# oci_manifest IMAGE SIZE LAYER SIZE
oci_manifest()
{
	cat <<END
{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
    "digest": "$1", "size": $2},
  "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar",
    "digest": "$3", "size": $4}]
}
END
}

# oci_index MANIFEST SIZE
oci_index()
{
	cat <<END
{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json",
    "digest": "$1", "size": $2}]
}
END
}

# oci_pack TITLE CONFIG [OPTION]...: writes the image to stdout. CONFIG is the inside of the JSON object
# that says how containers are run, without its Env and Labels; the options say to tar what of which
# tree it is made of. It has no name: who loads it gives one.
oci_pack()
{
	title=$1 config=$2
	shift 2
	oci_tar "$@" >"$work/layer"
	oci_add "$work/layer"
	layer=$digest layer_size=$size
	oci_config "$title" "$config" "$layer" >"$work/config"
	oci_add "$work/config"
	image=$digest image_size=$size
	oci_manifest "$image" "$image_size" "$layer" "$layer_size" >"$work/manifest"
	oci_add "$work/manifest"
	oci_index "$digest" "$size" >"$work/out/index.json"
	echo '{"imageLayoutVersion": "1.0.0"}' >"$work/out/oci-layout"
	cat >"$work/out/manifest.json" <<END
[{"Config": "blobs/sha256/${image#*:}", "RepoTags": null, "Layers": ["blobs/sha256/${layer#*:}"]}]
END
	# What says what it is comes first: nobody needs to read all to know.
	oci_tar --owner=0 --group=0 --directory "$work/out" oci-layout index.json manifest.json blobs
}
