# shellcheck shell=sh disable=SC2154
# Puts into a machine what its node says about it: its name, root's keys, and, once for each
# instance, root's password and user data. What is known stands above this line, as variables; `how`
# says who runs it:
#   boot        a hook of the image, from the disk CIDATA, at each boot and before sshd starts
#   cloud-init  cloud-init, as a boot hook: it then does what it can itself
#   push        corpusd, in the running machine
#   keys        corpusd, in a running container, which has its name from its driver
# All of it can be repeated. Needs sh, cat, cp, mv, rm, mkdir, chmod, sed, tr and date; what else it
# uses it does without where that is missing.
set -u
umask 022
PATH=${PATH:+$PATH:}/usr/sbin:/usr/bin:/sbin:/bin
state=/etc/corpus
failed=

if [ "$how" = boot ] && [ -e /etc/cloud/cloud.cfg ] && [ ! -e /etc/cloud/cloud-init.disabled ]; then
	exit 0
fi

# Replaces a file by what comes, in one step; one that is there keeps its owner and mode.
replace() { # FILE MODE
	rm -f "$1.corpus"
	if [ -e "$1" ]; then
		cp -p "$1" "$1.corpus" || return 1
	else
		: >"$1.corpus" && chmod "$2" "$1.corpus" || return 1
	fi
	if ! cat >"$1.corpus" || ! mv -f "$1.corpus" "$1"; then
		rm -f "$1.corpus"
		return 1
	fi
	if command -v restorecon >/dev/null 2>&1; then
		restorecon "$1" || :
	fi
}

fail() {
	failed=1
}

# Whether a file holds something else than that line.
differs() { # FILE LINE
	[ "$(cat "$1" 2>/dev/null)" != "$2" ]
}

# --- The name ------------------------------------------------------------------------------------

hosts() {
	added=
	while IFS= read -r line || [ -n "$line" ]; do
		case "${line#"${line%%[!	 ]*}"}" in
		127.0.1.1[\	\ ]*)
			[ -n "$added" ] || printf '%s\n' "$hosts_line"
			added=1
			;;
		*) printf '%s\n' "$line" ;;
		esac
	done </etc/hosts
	[ -n "$added" ] || printf '%s\n' "$hosts_line"
}

# Only a new one: what root calls the machine meanwhile is root's affair.
put_name() {
	differs $state/name "$name" || return 0
	printf '%s\n' "$name" | replace /etc/hostname 644 || fail
	printf '%s' "$name" >/proc/sys/kernel/hostname || fail
	if [ -f /etc/hosts ]; then
		new=$(hosts) || fail
		[ -z "$new" ] || printf '%s\n' "$new" | replace /etc/hosts 644 || fail
	fi
	[ -n "$failed" ] || printf '%s\n' "$name" | replace $state/name 644 || fail
}

# --- Keys ----------------------------------------------------------------------------------------

# Lines that are not ours. A block whose end somebody took away goes up to the next blank line.
other_keys() {
	inside=
	while IFS= read -r line || [ -n "$line" ]; do
		if [ "$line" = "$keys_begin" ]; then
			inside=1
		elif [ -z "$inside" ]; then
			printf '%s\n' "$line"
		elif [ "$line" = "$keys_end" ]; then
			inside=
		elif [ -z "$line" ]; then
			inside=
			printf '\n'
		fi
	done
}

put_keys() {
	file=/root/.ssh/authorized_keys
	[ -d /root ] || mkdir -m 700 /root || fail
	[ -d /root/.ssh ] || mkdir -m 700 /root/.ssh || fail
	old=.
	if [ -e $file ] && ! old=$(cat $file && printf .); then
		fail
		return
	fi
	new=$(printf '%s' "${old%.}" | other_keys && printf '%s.' "$keys")
	[ "$old" = "$new" ] || printf '%s' "${new%.}" | replace $file 600 || fail
}

# --- A new instance ------------------------------------------------------------------------------

new_keys_of_dropbear() {
	for key in /etc/dropbear/dropbear_*_host_key; do
		type=${key#/etc/dropbear/dropbear_}
		if [ -f "$key" ] && rm "$key"; then
			dropbearkey -t "${type%_host_key}" -f "$key"
		fi
	done
}

# This was another machine, of which it is a copy.
be_another() {
	if [ -s /etc/machine-id ]; then
		new=$(tr -d - </proc/sys/kernel/random/uuid) || fail
		[ -z "$new" ] || printf '%s\n' "$new" | replace /etc/machine-id 444 || fail
		[ -L /var/lib/dbus/machine-id ] || rm -f /var/lib/dbus/machine-id
	fi
	# cloud-init makes these anew by itself.
	[ "$how" = boot ] || return 0
	if command -v ssh-keygen >/dev/null 2>&1; then
		rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
		ssh-keygen -A
	fi
	if command -v dropbearkey >/dev/null 2>&1; then
		new_keys_of_dropbear
	fi
}

# A change that was never, or that is asked for at the next login (0), becomes today.
put_password() {
	if [ -z "$password" ] || [ ! -f /etc/shadow ]; then
		return 0
	fi
	today=$(($(date +%s) / 86400))
	[ "$today" -gt 0 ] || today=1
	new=$(sed -e "s|^root:[^:]*|root:$password|" \
		-e "s|^\(root:[^:]*:\)0\{0,1\}:|\1$today:|" /etc/shadow) || fail
	[ -z "$new" ] || printf '%s\n' "$new" | replace /etc/shadow 640 || fail
}

put_place() {
	printf '%s\n' "$this_host" | replace /this_host 644 || fail
	rm -f /this_port
	[ -z "$this_port" ] || printf '%s\n' "$this_port" | replace /this_port 644 || fail
}

put_user_data() {
	rm -f $state/user-data $state/user-data.begun $state/user-data.status
	[ -n "$user_data" ] || return 0
	replace $state/user-data "$user_data" <"${0%/*}/user-data" || fail
}

new_instance() {
	differs $state/instance-id "$id" || return 0
	rm -f $state/version
	if [ -e $state/instance-id ]; then
		be_another
	fi
	put_password
	put_place
	if [ "$how" = boot ]; then
		put_user_data
	fi
	[ -n "$failed" ] || printf '%s\n' "$id" | replace $state/instance-id 644 || fail
}

# --- User data -----------------------------------------------------------------------------------

# Once, whatever happens in between; the boot goes on meanwhile.
run_user_data() {
	(
		set -C
		: >$state/user-data.begun
	) 2>/dev/null || return 0
	log=/var/log/corpus-user-data.log
	[ -d /var/log ] || log=/dev/null
	(
		cd / || exit
		$state/user-data </dev/null >>$log 2>&1
		printf '%s\n' "$?" >$state/user-data.status
	) &
}

# -------------------------------------------------------------------------------------------------

# A machine that is started again from inside still has the disk that it was started with: what was
# pushed since then stays. A container has only what is pushed; what it says may be from another one,
# of which it is a copy.
is_old() {
	[ "$how" != keys ] || return 1
	known=$(cat $state/version 2>/dev/null) && [ "${known:-0}" -gt "$version" ]
}

mkdir -p $state || fail
if [ "$how" != push ] && [ "$how" != keys ]; then
	new_instance
fi
if ! is_old; then
	[ "$how" = keys ] || put_name
	put_keys
	[ -n "$failed" ] || printf '%s\n' "$version" | replace $state/version 644 || fail
fi
if [ "$how" = boot ] && [ -x $state/user-data ]; then
	run_user_data
fi
[ -z "$failed" ]
