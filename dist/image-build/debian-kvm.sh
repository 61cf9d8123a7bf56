# shellcheck shell=sh
# What the Debian guest has besides when it is a virtual machine.

: "${here:?}" "${work:?}" "${tree:?}"

# Beside what containers have.
debian_kvm_packages()
{
	echo udev,kmod,e2fsprogs,qemu-guest-agent
}

debian_kvm_dress()
{
	# The kernel is booted from beside the disk. Its modules are unpacked and not installed, so that
	# no upgrade in the guest takes them away from under it.
	kvm_fetch_kernel "$work/kernel"
	kvm_initramfs "$work/kernel"
	cp -r "$work/kernel/lib/modules" "$tree/usr/lib/"
	chroot "$tree" depmod "$(kvm_version "$work/kernel")"

	echo '/dev/vda / ext4 defaults,x-systemd.growfs 0 1' >"$tree/etc/fstab"
	# Processors that are added while it runs are put to use.
	echo 'SUBSYSTEM=="cpu", ACTION=="add", TEST=="online", ATTR{online}=="0", ATTR{online}="1"' \
		>"$tree/etc/udev/rules.d/80-corpus-cpu.rules"
	# Nobody looks at a screen.
	link /dev/null getty@tty1.service
	# The node knows it by its address, also when it is a clone of another.
	sed -i '/^DHCP=/a\\n[DHCPv4]\nClientIdentifier=mac' "$tree/etc/systemd/network/80-corpus.network"
	sed -i '/^KeepConfiguration=/d' "$tree/etc/systemd/network/80-corpus.network"
	if [ -e "$tree/usr/bin/cloud-init" ]; then
		# There are no other sources to wait for, and no other locales.
		printf '%s\n' 'datasource_list: [NoCloud, None]' 'locale: C.UTF-8' \
			>"$tree/etc/cloud/cloud.cfg.d/90-corpus.cfg"
	else
		debian_kvm_first_boot
	fi
}

debian_kvm_first_boot()
{
	mkdir -p "$tree/usr/lib/corpus"
	cp "$here/first-boot" "$tree/usr/lib/corpus/first-boot"
	chmod 755 "$tree/usr/lib/corpus/first-boot"
	cat >"$tree/etc/systemd/system/corpus-first-boot.service" <<'END'
[Unit]
Description=What the node says of this guest
DefaultDependencies=no
Conflicts=shutdown.target
After=systemd-remount-fs.service
Before=sysinit.target systemd-networkd.service shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/corpus/first-boot
KillMode=process
END
	link /etc/systemd/system/corpus-first-boot.service \
		sysinit.target.wants/corpus-first-boot.service
}

# In MiB: what is in it, a quarter for the file system's own and as much for the first minutes.
debian_kvm_size()
{
	used=$(du -sm "$tree" | cut -f1)
	echo $(((used * 3 / 2 / 64 + 2) * 64))
}
