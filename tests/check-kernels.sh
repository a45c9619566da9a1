#!/bin/sh
# Every kernel compiles alone, as OpenCL C 1.2 without extensions and without a warning, in the forms that CPUs
# and GPUs take, for each width and axis of the codec. Needs clang; no device.
set -eu
dir=${srcdir:-.}/cl
clang=
for c in clang clang-19 clang-16 clang-15 clang-14; do
	command -v "$c" >/dev/null && { clang=$c; break; }
done
[ -n "$clang" ] || { echo "SKIPPED: no clang here"; exit 77; }
bad=0 n=0
compile() {
	file=$1
	shift
	n=$((n + 1))
	"$clang" -x cl -cl-std=CL1.2 -target spir64 -Xclang -finclude-default-header -Wall -Wextra -Werror \
		-Wno-unused-function -Wno-unused-parameter -fsyntax-only -I "$dir" "$@" "$file" ||
		{ echo "failed: $file $*"; bad=$((bad + 1)); }
}
for file in "$dir"/*.cl; do
	compile "$file"
	for form in '-DLANES=1 -DVEC=16' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
		# shellcheck disable=SC2086 # a form is several words
		compile "$file" $form -DDK=128 -DDV=128 -DG=4 -DTR=2 -DSTREAMS=8 -DQ_HEADS=32 -DROT_K=1 -DROT_V=1
	done
done
for bits in 2 3 4 5 6 8; do
	for axis in 0 1; do
		for sym in 0 1; do
			for file in attend_partial seal_affine read_rows; do
				compile "$dir/$file.cl" -DVEC=16 -DDK=80 -DDV=96 -DG=3 -DK_CODEC=1 -DV_CODEC=1 \
					-DK_BITS=$bits -DK_AXIS=$axis -DK_GROUP=32 -DK_SYM=$sym -DV_BITS=$bits \
					-DV_AXIS=$((1 - axis)) -DV_GROUP=32 -DV_SYM=$sym -DK_PARAMS_OFF=0 \
					-DK_CODES_OFF=4096 -DV_PARAMS_OFF=16384 -DV_CODES_OFF=20480
			done
		done
	done
done
dir=${srcdir:-.}/tools
for file in "$dir"/*.cl; do
	for form in '-DLANES=1 -DROWS=1' '-DLANES=1 -DROWS=8' '-DLANES=32 -DROWS=1'; do
		# shellcheck disable=SC2086 # a form is several words
		compile "$file" $form
	done
done
echo "$n compilations, $bad failed"
[ $bad = 0 ]
