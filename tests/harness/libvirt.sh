#!/bin/sh
# Readies the mount namespace it is run in for a libvirtd of its own: libvirt.sh FOLDER. What libvirt
# keeps lies in a file system in memory, what it reads of /etc is a copy, and there is no
# /dev/kvm: where it is there but does not work, libvirtd probes QEMU again for every call.
set -eu

umask 022
folder=$1
# shellcheck source-path=SCRIPTDIR source=own_run.sh
. "$(dirname "$0")/own_run.sh"

mkdir "$folder"
mount -t tmpfs -o mode=755 tmpfs "$folder"
mkdir "$folder/etc" "$folder/lib" "$folder/log" "$folder/cache"
cp -a /etc/libvirt/. "$folder/etc"
rm -rf "$folder/etc/qemu" # networks and guests of the machine
echo 'max_size = 262144' >"$folder/etc/virtlogd.conf" # a console's log is full soon
cp -a /var/lib/libvirt/. "$folder/lib" 2>/dev/null || :
rm -rf "$folder/lib/images"
mkdir -p "$folder/log/qemu" "$folder/lib/qemu" "$folder/etc/qemu"
chown libvirt-qemu:libvirt-qemu "$folder/lib/qemu"
own_run "$folder"
for place in etc/libvirt:etc var/lib/libvirt:lib var/log/libvirt:log var/cache/libvirt:cache; do
	mount --bind "$folder/${place#*:}" "/${place%:*}"
done
# The same /dev with a hole in it, and just once: libvirt moves what is mounted below it.
if [ -e /dev/kvm ]; then
	mkdir "$folder/dev" "$folder/upper" "$folder/work"
	mknod "$folder/upper/kvm" c 0 0
	mount -t overlay -o "lowerdir=/dev,upperdir=$folder/upper,workdir=$folder/work" dev \
		"$folder/dev"
	for place in pts shm; do
		mount --bind "/dev/$place" "$folder/dev/$place"
	done
	umount --recursive --lazy /dev
	mount --move "$folder/dev" /dev
fi
