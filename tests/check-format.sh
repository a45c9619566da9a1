#!/bin/sh
# Every C and OpenCL file is as clang-format would write it (version 14, which Debian 12 has).
set -eu
cd "${srcdir:-.}"
command -v clang-format >/dev/null || { echo "SKIPPED: no clang-format here"; exit 77; }
clang-format --version | grep -q 'version 14\.' || { echo "SKIPPED: clang-format is not 14"; exit 77; }
files=$(find cl include lib tools tests bench examples engines \( -name '*.[ch]' -o -name '*.cl' -o -name '*.clh' \) ! -name 'cl_sources.c' \
	! -name '*_cl_sources.c' 2>/dev/null | LC_ALL=C sort)
bad=0
for f in $files; do
	clang-format --dry-run --Werror "$f" >/dev/null 2>&1 || { echo "not formatted: $f"; bad=1; }
done
exit $bad
