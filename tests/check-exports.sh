#!/bin/sh
# Each library exports exactly the functions that its headers declare: those of clkv/share.h are libclkv-share's.
set -eu
srcdir=${srcdir:-.}
command -v nm >/dev/null || { echo "SKIPPED: no nm here"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

check() { # LIBRARY HEADER...
	lib=lib/.libs/$1.so
	shift
	[ -e "$lib" ] || { echo "SKIPPED: no shared library was built"; exit 77; }
	nm -D --defined-only "$lib" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' |
		LC_ALL=C sort >"$dir/exported"
	awk '/^CLKV_API/ { match($0, /clkv_[a-z0-9_]+\(/); print substr($0, RSTART, RLENGTH - 1) }' \
		"$@" | LC_ALL=C sort >"$dir/declared"
	[ -s "$dir/declared" ] || { echo "no declarations were found in $*"; exit 1; }
	diff "$dir/declared" "$dir/exported" || { echo "$lib: declared (<) and exported (>) differ"; exit 1; }
}

core=
for header in "$srcdir"/include/clkv/*.h; do
	case $header in */share.h) ;; *) core="$core $header" ;; esac
done
# shellcheck disable=SC2086 # a list of files
check libclkv $core
if grep -q '^#define HAVE_SHARE 1' config.h; then
	check libclkv-share "$srcdir/include/clkv/share.h"
fi
