# shellcheck shell=bash
# ./dev demo and ./dev bench: the product at work, in a release build.

cmd_demo() {
	need_root demo
	ensure_deps
	build release
	CORPUS_BUILD=build/release PYTHONPATH=tests:tools "$PYTHON" tools/demo.py "$@"
}

cmd_bench() {
	need_root bench
	ensure_deps
	build release
	[ -x /usr/bin/lxd ] || phase "install LXD, to compare with" install_lxd || exit 1
	CORPUS_BUILD=build/release PYTHONPATH=tests:tools:bench "$PYTHON" bench/bench.py "$@"
}

# Only the programs: on a machine with systemd its services shall not start.
install_lxd() {
	local policy=/usr/sbin/policy-rc.d ours=''
	. tools/deps.sh
	if [ ! -e $policy ]; then
		ours=1
		printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy
	fi
	install_packages lxd
	[ -z "$ours" ] || rm $policy
}
