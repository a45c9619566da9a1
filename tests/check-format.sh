#!/bin/sh
# Every C and OpenCL file is as clang-format would write it (version 14, which Debian 12 has).
set -eu
cd "${srcdir:-.}"
command -v clang-format >/dev/null || { echo "SKIPPED: no clang-format here"; exit 77; }
clang-format --version | grep -q 'version 14\.' || { echo "SKIPPED: clang-format is not 14"; exit 77; }
files=$(find cl include lib tools tests bench examples engines \( -name '*.[ch]' -o -name '*.cl' -o -name '*.clh' \) ! -name 'cl_sources.c' \
	! -name '*_cl_sources.c' 2>/dev/null | LC_ALL=C sort)
# one run for all files: starting it costs ten times what a file does
report=$(clang-format --dry-run --Werror $files 2>&1) && exit 0
echo "$report" | sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: error:.*/not formatted: \1/p' | LC_ALL=C sort -u | grep . || echo "$report"
exit 1
