#!/bin/sh
# The library exports exactly the functions that the headers declare.
set -eu
srcdir=${srcdir:-.}
lib=lib/.libs/libclkv.so
[ -e "$lib" ] || { echo "SKIPPED: no shared library was built"; exit 77; }
command -v nm >/dev/null || { echo "SKIPPED: no nm here"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
nm -D --defined-only "$lib" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' |
	LC_ALL=C sort >"$dir/exported"
awk '/^CLKV_API/ { match($0, /clkv_[a-z0-9_]+\(/); print substr($0, RSTART, RLENGTH - 1) }' \
	"$srcdir"/include/clkv/*.h | LC_ALL=C sort >"$dir/declared"
[ -s "$dir/declared" ] || { echo "no declarations were found in include/clkv"; exit 1; }
diff "$dir/declared" "$dir/exported" || { echo "declared (<) and exported (>) differ"; exit 1; }
