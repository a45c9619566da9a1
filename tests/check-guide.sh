#!/bin/sh
# The program that the guide's blocks make runs, and prints what the guide says.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
CLKV_CACHE_DIR=${CLKV_CACHE_DIR-tests/program-cache}
export CLKV_CACHE_DIR
status=0
tests/guide_program >"$dir/printed" 2>"$dir/errors" || status=$?
cat "$dir/errors" >&2
if [ $status != 0 ]; then
	! grep -q 'no such device' "$dir/errors" || { echo "SKIPPED: no OpenCL device"; exit 77; }
	exit 1
fi
${AWK:-awk} -v language=text -f "${srcdir:-.}/tests/guide-blocks.awk" "${srcdir:-.}/doc/guide.md" >"$dir/said"
[ -s "$dir/said" ] || { echo "the guide says nowhere what its program prints"; exit 1; }
diff "$dir/said" "$dir/printed" || { echo "the guide says (<) and the program prints (>)"; exit 1; }
