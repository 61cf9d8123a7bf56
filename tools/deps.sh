# shellcheck shell=bash
# The Debian packages of tools/packages.txt: which are missing, and installing just those.

missing_packages() {
	local name
	sed -E 's/[[:space:]]*#.*//; /^$/d' tools/packages.txt | while read -r name; do
		dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed ||
			printf '%s\n' "$name"
	done
}

install_packages() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q && apt-get install -q -y --no-install-recommends "$@"
}

cmd_deps() {
	local missing
	mapfile -t missing < <(missing_packages)
	[ ${#missing[@]} -gt 0 ] || { say "  nothing is missing" && return; }
	[ "$(id -u)" = 0 ] || die "missing packages: ${missing[*]}
run: sudo ./dev deps"
	phase "install ${#missing[@]} packages" install_packages "${missing[@]}" || exit 1
}
