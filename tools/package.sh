# shellcheck shell=bash
# ./dev package: Debian packages of what is committed or changed here, into build/package.

copy_sources() {
	local to=$1
	rm -rf build/package
	mkdir -p "$to"
	git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$to"
}

# Built in a copy, so that the tree stays as it is.
build_packages() (cd "$1" && dpkg-buildpackage --unsigned-source --unsigned-changes --build=binary)

# What Debian's own checker says; its errors are ours. The maintainer's address is not a public one.
# It forgets files where it works.
check_packages() {
	mkdir -p build/package/lintian
	TMPDIR=$PWD/build/package/lintian lintian --fail-on error --allow-root --suppress-tags \
		bogus-mail-host,bogus-mail-host-in-debian-changelog build/package/*.changes
}

cmd_package() {
	ensure_deps
	local version
	version=$(dpkg-parsechangelog -S Version)
	grep -q "VERSION $version " CMakeLists.txt || die "debian/changelog is of version $version, CMakeLists.txt is not"
	phase "copy the sources" copy_sources "build/package/corpus-$version" || exit 1
	phase "build the packages" build_packages "build/package/corpus-$version" || exit 1
	phase "lintian" check_packages || exit 1
	rm -rf "build/package/corpus-$version" build/package/lintian
	for file in build/package/*.deb; do
		say "  $file  $(du -h "$file" | cut -f1)"
	done
}
