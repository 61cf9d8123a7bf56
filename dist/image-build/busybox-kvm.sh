# shellcheck shell=sh
# What the busybox guest has besides when it is a virtual machine. It stands in the guest's tree.

: "${here:?}" "${work:?}" "${tree:?}"

kvm_dress()
{
	kvm_fetch_kernel "$work/kernel"
	kvm_initramfs "$work/kernel"
	kvm_fetch "$work/more" qemu-guest-agent dropbear-bin openssh-sftp-server libtomcrypt1 \
		libtommath1 liburing2 libnuma1 libglib2.0-0 libpcre2-8-0 libudev1
	more=$work/more
	kvm_copy_program "$tree" "$more/usr/sbin/qemu-ga" usr/sbin/qemu-ga "$more"
	kvm_copy_program "$tree" "$more/usr/sbin/dropbear" usr/sbin/dropbear "$more"
	kvm_copy_program "$tree" "$more/usr/bin/dropbearkey" usr/bin/dropbearkey "$more"
	kvm_copy_program "$tree" "$more/usr/lib/openssh/sftp-server" usr/lib/sftp-server "$more"
	resize2fs=$(PATH=$PATH:/usr/sbin:/sbin command -v resize2fs)
	kvm_copy_program "$tree" "$resize2fs" usr/sbin/resize2fs
	# busybox has nothing that becomes a user by its number; coreutils' chroot does.
	rm -f usr/sbin/chroot
	kvm_copy_program "$tree" "$(PATH=$PATH:/usr/sbin:/sbin command -v chroot)" usr/sbin/chroot
	mkdir -p etc/acpi/PWRF etc/dropbear usr/lib/corpus
	cp "$here/first-boot" usr/lib/corpus/first-boot
	chmod 755 usr/lib/corpus/first-boot
	echo /bin/sh >etc/shells
	kvm_write_boot
	kvm_write_tools
	kvm_write_inittab
}

kvm_write_boot()
{
	rm sbin/init
	ln -s /bin/busybox sbin/init
	cat >etc/rc <<'END'
#!/bin/sh
# Readies the machine, before what /etc/inittab names is started.
export PATH=/sbin:/usr/sbin:/bin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
ip link set lo up
ip link set eth0 up
udhcpc -i eth0 -b -S -s /usr/share/udhcpc/default.script >/dev/null 2>&1 &
resize2fs /dev/vda >/dev/null 2>&1
hostname "$(cat /etc/hostname 2>/dev/null || echo busybox)"
/usr/lib/corpus/first-boot
[ -e /srv/www/index.html ] || hostname >/srv/www/index.html
END
	chmod 755 etc/rc
}

kvm_write_tools()
{
	# What the guest agent calls, and an agent that waits for its port.
	cat >sbin/shutdown <<'END'
#!/bin/sh
# shutdown -P|-h|-r [TIME], as the guest agent calls it.
case " $* " in
*" -r "*) exec reboot ;;
*) exec poweroff ;;
esac
END
	cat >usr/sbin/chpasswd <<'END'
#!/bin/sh
# chpasswd [-e]: sets the passwords of lines USER:PASSWORD; -e: they are hashes.
umask 077
while IFS=: read -r user word; do
	[ "${1-}" = -e ] || word=$(mkpasswd -m sha512 "$word")
	awk -F: -v OFS=: -v user="$user" -v word="$word" '$1 == user { $2 = word } { print }' \
		/etc/shadow >/etc/shadow.new && mv /etc/shadow.new /etc/shadow
done
END
	cat >usr/lib/corpus/guest-agent <<'END'
#!/bin/sh
# The guest agent, when the machine has a port for it.
for name in /sys/class/virtio-ports/*/name; do
	if [ "$(cat "$name" 2>/dev/null)" = org.qemu.guest_agent.0 ]; then
		port=$(basename "$(dirname "$name")")
		exec qemu-ga -m virtio-serial -p "/dev/$port" -t /run -f /run/qemu-ga.pid
	fi
done
exec sleep 86400
END
	cat >usr/lib/corpus/hotplug <<'END'
#!/bin/sh
# Takes processors and memory into use that the machine is given while it runs.
[ "$ACTION" = add ] || exit 0
case $SUBSYSTEM in
cpu | memory) echo 1 >"/sys$DEVPATH/online" ;;
esac
END
	printf '#!/bin/sh\nexec poweroff\n' >etc/acpi/PWRF/00000080
	chmod 755 sbin/shutdown usr/sbin/chpasswd usr/lib/corpus/* etc/acpi/PWRF/00000080
}

kvm_write_inittab()
{
	cat >etc/inittab <<'END'
::sysinit:/etc/rc
::respawn:/usr/sbin/httpd -f -p 80 -h /srv/www
::respawn:/usr/sbin/dropbear -F -E -R -s
::respawn:/usr/lib/corpus/guest-agent
::respawn:/sbin/acpid -f -l /dev/null
::respawn:/sbin/uevent /usr/lib/corpus/hotplug
ttyS0::respawn:-/bin/sh
::ctrlaltdel:/sbin/reboot
::shutdown:/bin/umount -a -r
END
}
