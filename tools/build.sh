# shellcheck shell=bash
# ./dev build, clean, cover.

cmd_build() {
	ensure_deps
	build "${@:-test}"
}

cmd_clean() { rm -rf build; }

# Coverage of the compiled tests; those that need root run when we are.
cmd_cover() {
	ensure_deps
	build cover
	local except=()
	[ "$(id -u)" = 0 ] || except=(-LE root)
	phase "compiled tests" ctest --test-dir build/cover -j2 --output-on-failure "${except[@]}" ||
		true
	phase "gcovr" gcovr --root . --exclude 'tests/.*' --gcov-ignore-parse-errors \
		--html-details build/cover/report.html --txt build/cover/report.txt build/cover || exit 1
	tail -n 4 build/cover/report.txt
	say "  build/cover/report.html"
}
