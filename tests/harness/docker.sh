#!/bin/sh
# A dockerd of one's own in the mount and network namespaces that this is run in.
#
#   docker.sh lay FOLDER STORAGE      makes FOLDER, where all that it keeps lies: in memory, or for
#                                     STORAGE btrfs in a btrfs on a loop device; /run is its own, too
#   docker.sh run FOLDER SOCKET [OPTION]...
#                                     becomes dockerd, which listens at SOCKET and /run/docker.sock
#
# The programs are the machine's, or those in CORPUS_DOCKER_DIR: what dockerd itself starts, too. With
# CORPUS_DOCKER_STORE=containerd what would lie in overlay2 lies in containerd's store.
# Its containerd is its child. The option --no-bridge: it has no docker0 and makes no rules. User namespaces, when it is told of them by
# --userns-remap=daemon:daemon, begin at 20000000.
set -eu

umask 022
# shellcheck source-path=SCRIPTDIR source=own_run.sh
. "$(dirname "$0")/own_run.sh"

lay()
{
	mkdir "$folder"
	mount -t tmpfs -o mode=755 tmpfs "$folder"
	mkdir "$folder/etc" "$folder/root"
	own_run "$folder"
	if [ "$1" = btrfs ]; then
		truncate -s 8G "$folder/disk"
		mkfs.btrfs -q "$folder/disk"
		mount -o loop "$folder/disk" "$folder/root" # the loop device goes with the mount
	fi
	echo "{\"features\": {\"containerd-snapshotter\": $containerd}}" >"$folder/etc/daemon.json"
	mkdir -p /etc/docker # a key lies there, too
	mount --bind "$folder/etc" /etc/docker
	for file in subuid subgid; do
		cp "/etc/$file" "$folder/etc/$file"
		echo daemon:20000000:65536 >>"$folder/etc/$file"
		mount --bind "$folder/etc/$file" "/etc/$file"
	done
}

# --userland-proxy is for `docker run -p`, which is nothing of ours.
run()
{
	socket=$1
	shift
	# Of those that were killed, and may be others' numbers by now.
	rm -f "$folder/dockerd.pid" "$folder/exec/containerd/containerd.pid"
	# dockerd's own options for that are four.
	for option; do
		shift
		case $option in
		--no-bridge) set -- "$@" --bridge=none --iptables=false --ip6tables=false --ip-masq=false ;;
		--storage-driver=overlay2) $containerd || set -- "$@" "$option" ;;
		*) set -- "$@" "$option" ;;
		esac
	done
	PATH=${CORPUS_DOCKER_DIR:+$CORPUS_DOCKER_DIR:}$PATH
	export PATH
	exec dockerd --config-file "$folder/etc/daemon.json" --data-root "$folder/root" \
		--exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" \
		--userland-proxy=false -H "unix://$socket" \
		-H unix:///run/docker.sock "$@"
}

what=$1
folder=$2
case ${CORPUS_DOCKER_STORE:-} in
containerd) containerd=true ;;
*) containerd=false ;;
esac
shift 2
"$what" "$@"
