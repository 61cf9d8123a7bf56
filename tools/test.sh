# shellcheck shell=bash
# ./dev test, asan, tsan, long, chaos. `./dev test` ends with "N passed, N failed": the cases of the
# compiled tests and of pytest together; what is left on the machine afterwards counts as failed.
# asan and tsan may run beside each other.

cmd_test() {
	local word='' before=build/leftovers-before.json results=build/results
	parse_word "$@"
	need_root test
	ensure_deps
	build test
	"$PYTHON" tools/leftovers.py save "$before"
	rm -rf "$results"
	debian_image || true
	compiled_tests test "$word" || true
	python_tests "$word" || true
	phase "nothing left behind" "$PYTHON" tools/leftovers.py compare "$before" || true
	"$PYTHON" tools/count.py "$results" "${BROKEN[@]}"
}

# -k WORD → $word
parse_word() {
	while [ $# -gt 0 ]; do
		case $1 in
		-k) word=${2:?-k needs a word} && shift 2 ;;
		*) die "unknown argument: $1" ;;
		esac
	done
}

# What is booted in tests, by our own builders; takes three minutes, once.
debian_image() {
	export CORPUS_CACHE=${CORPUS_CACHE:-/var/cache/corpus-dev}
	export CORPUS_TEST_DEBIAN_TAR=$CORPUS_CACHE/debian-with-page.tar
	PYTHONPATH=tests phase "images of a Debian" "$PYTHON" -m harness.rootfs
	PYTHONPATH=tests phase "images of machines" "$PYTHON" -m harness.disks
}

# compiled_tests PRESET WORD → $results: through ctest, more than there are processors, since most of them wait for
# something most of the time; its whole output is kept for counting.
# Without address space randomization: the thread sanitizer does not know today's kernels' layout.
compiled_tests() {
	local preset=$1 word=$2 status=0 except=()
	case $preset in
	# liblxc's attach and confined programs clone by system call, which the thread sanitizer
	# cannot follow; and no thread is near them. Guests of the others are driven, and entered, by
	# processes of one thread.
	tsan) except=(-E 'driver_lxc|driver_docker($|_inside)|driver_kvm($|_(faults|guests|inside|live|node))|storage_confined|storage_disk') ;;
	# What is left out boots a whole guest: minutes, where all else is slow already.
	asan) except=(-E 'driver_kvm_(inside|live)') ;;
	esac
	mkdir -p "$results"
	phase "compiled tests ($preset)" setarch -R ctest --test-dir "build/$preset" -j3 \
		--output-on-failure --no-tests=ignore "${except[@]}" ${word:+-R "$word"} || status=$?
	cp "build/$preset/Testing/Temporary/LastTest.log" "$results/$preset.ctest" || true
	return $status
}

# The black-box tests, against the product in build/$CORPUS_BUILD → $results. Three at a time: one of
# them emulates whole Debians most of the time, the others wait for much.
python_tests() {
	phase "product tests" "$PYTHON" -m pytest -n3 --dist loadgroup -q -p no:cacheprovider \
		-c tests/pytest.ini --junitxml="$results/product.xml" ${1:+-k "$1"} tests
}

cmd_asan() { sanitized asan "$@"; }

cmd_tsan() { sanitized tsan "$@"; }

sanitized() {
	local preset=$1 word='' results=build/results-$1
	shift
	parse_word "$@"
	need_root "$preset"
	ensure_deps
	build "$preset"
	rm -rf "$results"
	export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
	export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
	export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
	debian_image || true
	compiled_tests "$preset" "$word" || true
	"$PYTHON" tools/count.py "$results" "${BROKEN[@]}"
}

# What takes minutes: machines with a whole distribution in them, by software emulation.
cmd_long() {
	need_root long
	ensure_deps
	build test
	"$PYTHON" -m pytest -q -p no:cacheprovider -c tests/pytest.ini tests/system/long_*.py
}

# Random-instant kills of the agent and of its drivers for some minutes.
cmd_chaos() {
	need_root chaos
	ensure_deps
	build test
	PYTHONPATH=tests "$PYTHON" tests/system/chaos.py "$@"
}
