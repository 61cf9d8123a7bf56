# shellcheck shell=bash
# ./dev fuzz [RUNS]: every fuzz program of tests/fuzz under address and undefined sanitizers, RUNS
# inputs each, from the examples kept in tests/fuzz/corpus and those that it finds (build/corpora).

cmd_fuzz() {
	local runs=${1:-100000} name passed=0
	[[ $runs =~ ^[0-9]+$ ]] || die "usage: ./dev fuzz [RUNS]"
	ensure_deps
	build fuzz
	for name in $(fuzz_names); do
		mkdir -p "build/corpora/$name"
		if phase "$runs inputs for $name" fuzz_one "$name" "$runs"; then
			passed=$((passed + 1))
		fi
	done
	say "$passed passed, ${#BROKEN[@]} failed"
	[ ${#BROKEN[@]} = 0 ] && [ $passed -gt 0 ]
}

fuzz_names() { sed -n 's/^corpus_fuzz(fuzz_\([a-z0-9_]*\) .*/\1/p' tests/fuzz/CMakeLists.txt; }

# fuzz_one NAME RUNS
fuzz_one() {
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 "build/fuzz/fuzz/fuzz_$1" -runs="$2" \
		-max_len=8192 -timeout=10 -verbosity=0 -artifact_prefix="build/corpora/crash-$1-" \
		"build/corpora/$1" "tests/fuzz/corpus/fuzz_$1"
}
