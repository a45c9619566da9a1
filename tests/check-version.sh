#!/bin/sh
# The version stands in configure.ac, clkv/version.h and CHANGELOG.md: the same in all.
set -eu
cd "${srcdir:-.}"
configure=$(sed -n 's/^AC_INIT(\[clkv\], \[\([0-9.]*\)\].*/\1/p' configure.ac)
header=$(sed -n 's/^#define CLKV_VERSION_STRING "\(.*\)"/\1/p' include/clkv/version.h)
parts=$(sed -n 's/^#define CLKV_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' include/clkv/version.h | paste -sd.)
changes=$(sed -n 's/^## \([0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
for v in "$header" "$parts" "$changes"; do
	[ "$v" = "$configure" ] || { echo "configure.ac says $configure, another file '$v'"; exit 1; }
done
