# shellcheck shell=sh
# own_run FOLDER: gives the mount namespace a /run of its own, empty but for network namespaces, when it
# has none yet: for daemons whose sockets would be the machine's. FOLDER is one of a file system that
# goes with the namespace.
own_run()
{
	[ ! -e /run/own ] || return 0
	mkdir "$1/run" "$1/run/netns"
	: >"$1/run/own"
	if [ -d /run/netns ]; then
		mount --rbind /run/netns "$1/run/netns"
	fi
	mount --rbind "$1/run" /run
}
