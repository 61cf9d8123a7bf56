# shellcheck shell=bash
# ./dev check, fmt, lint: what a reader should not have to check by eye.

c_sources() { git ls-files '*.c' '*.h'; }

shell_sources() {
	git ls-files '*.sh' dev .ci/run
	git grep -lE '^#!(/usr/bin/env bash|/bin/(ba)?sh)' -- ':!*.sh' ':!dev' ':!.ci/run' \
		':!*/golden/*' || true
}

cmd_fmt() {
	ensure_deps
	c_sources | xargs clang-format -i
	say "  $(c_sources | wc -l) files are in the project's format"
}

cmd_check() {
	ensure_deps
	phase "format" format_check || true
	lint_phases
	phase "docs" "$PYTHON" tools/docs.py || true
	verdict
}

cmd_lint() {
	ensure_deps
	lint_phases
	verdict
}

lint_phases() {
	phase "layers" "$PYTHON" tools/layers.py || true
	phase "shellcheck" shellcheck_all || true
	build test # cppcheck and clang-tidy read generated sources, too
	phase "cppcheck" cppcheck_all || true
	phase "clang-tidy" clang_tidy_all || true
}

verdict() {
	[ ${#BROKEN[@]} = 0 ] || die "  not clean: ${BROKEN[*]}"
}

format_check() { c_sources | xargs clang-format --dry-run -Werror; }

shellcheck_all() { shell_sources | xargs shellcheck -x; }

# utlist.h is given by name: cppcheck does not search /usr/include, and without the loops' macros it
# takes their variables for uninitialized.
# Tests are left to the compiler and the sanitizers: cmocka's macros are noise to both tools. What the
# build generates is a text as numbers, which takes cppcheck minutes.
cppcheck_all() {
	mkdir -p build/cppcheck
	cppcheck --project=build/test/compile_commands.json --cppcheck-build-dir=build/cppcheck \
		--include=/usr/include/utlist.h -i tests -i bench -i build -j2 --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
		--suppressions-list=tools/cppcheck.txt
}

# A file that was clean and has not changed since, nor anything it includes, is not looked at again.
clang_tidy_all() {
	git ls-files '*.c' ':!tests' ':!bench' | xargs -P2 -n4 "$PYTHON" tools/tidy.py
}
