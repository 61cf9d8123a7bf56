# shellcheck shell=bash
# What the commands of ./dev share: phases with their time, logs, root, and the build itself.

LOG=build/log
# Debian's own python, which has Debian's modules.
export PYTHON=/usr/bin/python3
BROKEN=()		# phases that failed

say() { printf '%s\n' "$*"; }

die() {
	printf '%s\n' "$*" >&2
	exit 1
}

# phase NAME COMMAND…: runs it with its output in a log, prints one line with its time, and on
# failure the end of the log.
phase() {
	local name=$1 began log status=0
	shift
	log=$LOG/${name// /-}.log
	mkdir -p "$LOG"
	[ ! -t 1 ] || printf '  %-34s …\r' "$name"
	began=$EPOCHREALTIME
	"$@" >"$log" 2>&1 </dev/null || status=$?
	printf '  %-34s %6.1f s  %s\n' "$name" "$(elapsed "$began")" "$([ $status = 0 ] || echo FAILED)"
	if [ $status != 0 ]; then
		BROKEN+=("$name")
		tail -n 40 "$log" | sed 's/^/      /'
		say "      … the whole log: $log"
	fi
	return $status
}

elapsed() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { print to - from }'; }

need_root() {
	[ "$(id -u)" = 0 ] || die "./dev $1 makes namespaces, mounts and containers: run it with sudo"
}

# What was built under sudo stays the property of the one who called sudo.
give_back() {
	if [ -n "${SUDO_UID:-}" ] && [ -d build ]; then
		chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" build
	fi
}
trap give_back EXIT

# build PRESET…: configure and compile, one phase each.
build() {
	local preset
	for preset in "$@"; do
		phase "build $preset" build_preset "$preset" || exit 1
	done
}

# One at a time: two may want the same. Of the preset fuzz only the fuzzers.
build_preset() (
	targets=()
	[ "$1" != fuzz ] || targets=(--target fuzzers)
	mkdir -p build
	exec 9>build/.lock
	flock 9
	cmake --preset "$1" && cmake --build "build/$1" "${targets[@]}"
)

# Installs what is missing, when something is; says nothing otherwise.
ensure_deps() {
	. tools/deps.sh
	[ -z "$(missing_packages)" ] || cmd_deps
}
