# shellcheck shell=sh
# Functions of the builders of images for virtual machines: a disk that is one ext4 file system, Debian's
# cloud kernel and a small initramfs that finds the disk. A builder sets $work, a folder to work in, and
# $program, a statically linked busybox; it has die().

: "${work:?}" "${program:?}"

# What a machine needs until its root is mounted, and what no udev may be there to load later.
kvm_modules='virtio_pci virtio_blk virtio_net virtio_console virtio_balloon virtio_rng ext4 isofs
	button evdev'

# What every kernel command line has: eth0 by that name, hotplugged memory in use at once, and no 64 MiB
# kept for devices that could not reach it.
kvm_cmdline='root=/dev/vda console=ttyS0 net.ifnames=0 memhp_default_state=online swiotlb=noforce'

kvm_needs()
{
	for tool in apt-get dpkg-deb mke2fs qemu-img; do
		command -v $tool >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v $tool >/dev/null ||
			die "$tool is not there: install apt, dpkg, e2fsprogs and qemu-utils"
	done
}

# kvm_fetch FOLDER PACKAGE…: unpacks Debian packages into a folder, without installing them.
kvm_fetch()
{
	folder=$1
	shift
	rm -rf "$work/debs"
	mkdir -p "$folder" "$work/debs"
	(cd "$work/debs" && apt-get download -q "$@") >"$work/log" 2>&1 || {
		tail -n 5 "$work/log" >&2
		die "cannot fetch $* (is the list of packages there: apt-get update?)"
	}
	for deb in "$work"/debs/*.deb; do
		dpkg-deb -x "$deb" "$folder"
	done
}

# kvm_fetch_kernel FOLDER: the cloud kernel as it is now.
kvm_fetch_kernel()
{
	package=linux-image-cloud-$(dpkg --print-architecture)
	package=$(apt-cache depends "$package" 2>/dev/null | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p' |
		head -n 1)
	[ -n "$package" ] || die "apt knows no cloud kernel (apt-get update?)"
	kvm_fetch "$1" "$package"
}

# kvm_version ROOT: of the kernel that is in ROOT.
kvm_version()
{
	basename "$1"/lib/modules/*
}

# kvm_initramfs ROOT: writes $work/out/kernel and $work/out/initrd, of the kernel that is in ROOT.
kvm_initramfs()
{
	version=$(kvm_version "$1")
	top=$work/initramfs
	mkdir -p "$work/out" "$top/bin" "$top/dev" "$top/proc" "$top/sys" "$top/root"
	cp "$1/boot/vmlinuz-$version" "$work/out/kernel"
	cp "$program" "$top/bin/busybox"
	for applet in sh mount umount modprobe switch_root sleep reboot findfs cat; do
		ln -s busybox "$top/bin/$applet"
	done
	kvm_copy_modules "$1" "$version"
	kvm_write_init >"$top/init"
	chmod 755 "$top/init"
	(cd "$top" && find . | "$program" cpio -o -H newc) >"$work/out/initrd" 2>/dev/null
}

# The modules and what they need, in the order in which they can be loaded.
kvm_copy_modules()
{
	lib=lib/modules/$2
	[ -e "$1/$lib/modules.dep" ] || "$program" depmod -b "$1" "$2"
	: >"$top/modules"
	for module in $kvm_modules; do
		# What is not there is built in.
		line=$(sed 's/_/-/g' "$1/$lib/modules.dep" | grep -n "/$(echo "$module" | sed s/_/-/g)\.ko:" |
			head -n 1 | cut -d: -f1)
		[ -z "$line" ] || sed -n "${line}s/:/ /p" "$1/$lib/modules.dep" |
			tr ' ' '\n' | sed '/^$/d' | tac >>"$top/modules"
	done
	awk '!seen[$0]++' "$top/modules" >"$top/modules.once"
	mv "$top/modules.once" "$top/modules"
	while read -r file; do
		mkdir -p "$top/$lib/$(dirname "$file")"
		cp "$1/$lib/$file" "$top/$lib/$file"
	done <"$top/modules"
	sed -i "s|^|/$lib/|" "$top/modules"
}

kvm_write_init()
{
	cat <<'END'
#!/bin/sh
# The machine's first process: finds its root and goes there.
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
while read -r module; do
	busybox insmod "$module" 2>/dev/null
done </modules
root=/dev/vda mode=rw init=/sbin/init
for word in $(cat /proc/cmdline); do
	case $word in
	root=LABEL=*) root=${word#root=} ;;
	root=*) root=${word#root=} ;;
	init=*) init=${word#init=} ;;
	ro | rw) mode=$word ;;
	esac
done
tries=0
while ! device=$(findfs "$root" 2>/dev/null) || ! mount -t ext4 -o $mode "$device" /root; do
	tries=$((tries + 1))
	if [ $tries = 100 ]; then
		echo "no root file system on $root"
		sleep 5
		reboot -f
	fi
	sleep 0.1
done
mount --move /dev /root/dev
umount /sys /proc
exec switch_root /root "$init"
END
}

# kvm_copy_program TREE PROGRAM PLACE [ROOT]: a program and the libraries it is linked with, which may
# be in ROOT or are this machine's.
kvm_copy_program()
{
	mkdir -p "$1/$(dirname "$3")"
	cp "$2" "$1/$3"
	LD_LIBRARY_PATH=${4-}/usr/lib/$(uname -m)-linux-gnu:${4-}/lib/$(uname -m)-linux-gnu ldd "$2" \
		>"$work/libraries"
	! grep 'not found' "$work/libraries" >&2 || die "libraries of $2 are missing"
	sed -n -e 's/.* => \(\/[^ ]*\) .*/\1/p' -e 's/^[[:space:]]*\(\/[^ ]*\) .*/\1/p' "$work/libraries" |
		while read -r library; do
			case $library in
			*/ld-linux*) place=lib64 ;;
			*) place=lib ;;
			esac
			mkdir -p "$1/$place"
			cp -Ln "$library" "$1/$place/"
		done
}

# kvm_pack TREE MEBIBYTES CMDLINE: writes the image to stdout.
kvm_pack()
{
	mke2fs -q -t ext4 -b 4096 -m 0 -E lazy_itable_init=0,lazy_journal_init=0 -L root -d "$1" \
		"$work/disk.raw" "$2M" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		die "cannot make a file system of $2 MiB"
	}
	qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$work/out/disk.qcow2"
	echo "$kvm_cmdline $3" >"$work/out/cmdline"
	tar --create --numeric-owner --owner=0 --group=0 --directory "$work/out" \
		cmdline kernel initrd disk.qcow2
}
