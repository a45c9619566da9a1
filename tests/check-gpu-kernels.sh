#!/bin/sh
# Compiles the kernels for AMD and NVIDIA GPUs without one, prints registers and local memory, and fails on spills
# or on more than 32 KiB of local memory. Needs clang-19, with rocm-device-libs for AMD, with libclc-15 and ptxas for
# NVIDIA. Each vendor is skipped with a word where its tools are missing. Not part of `make check`.
set -u
dir=${srcdir:-.}/cl
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
ran=0 bad=0
rocm=/usr/lib/x86_64-linux-gnu/amdgcn/bitcode
libclc=$(find /usr/lib -name nvptx64--nvidiacl.bc 2>/dev/null | head -n 1)
ptxas=$(command -v ptxas || find /usr/local/cuda/bin -name ptxas 2>/dev/null)

# judge NAME REGISTERS SPILLS LOCAL
judge() {
	ran=$((ran + 1))
	verdict=ok
	if [ "${3:-x}" != 0 ] || [ "${4:-99999}" -gt 32768 ]; then
		verdict=BAD bad=$((bad + 1))
	fi
	echo "$verdict $1: ${2:-?} registers, ${3:-?} spilled, ${4:-?} bytes of local memory"
}

amd() { # TARGET FILE OPTIONS...
	target=$1 file=$2
	shift 2
	clang-19 -x cl -cl-std=CL1.2 -target amdgcn-amd-amdhsa -mcpu="$target" --rocm-device-lib-path="$rocm" -O3 -S \
		-I "$dir" "$@" "$file" -o "$tmp/amd.s" 2>"$tmp/log" ||
		{ cat "$tmp/log"; bad=$((bad + 1)); return; }
	number() { sed -n "s/^ *\\.$1: *\\([0-9]*\\).*/\\1/p" "$tmp/amd.s" | head -n 1; }
	judge "$target $(basename "$file") $*" "$(number vgpr_count)" "$(number vgpr_spill_count)" \
		"$(number group_segment_fixed_size)"
}

nvidia() {
	target=$1 file=$2
	shift 2
	if ! { clang-19 -x cl -cl-std=CL1.2 -target nvptx64--nvidiacl -Xclang -mlink-bitcode-file -Xclang "$libclc" \
		-Xclang -target-cpu -Xclang "$target" -Xclang -target-feature -Xclang +ptx78 -Dcl_clang_storage_class_specifiers \
		-O3 -S -I "$dir" "$@" "$file" -o "$tmp/nv.ptx" 2>"$tmp/log" &&
		"$ptxas" -v -arch="$target" "$tmp/nv.ptx" -o "$tmp/nv.bin" >"$tmp/log" 2>&1; }; then
		head -n 5 "$tmp/log"
		bad=$((bad + 1))
		return
	fi
	registers=$(sed -n 's/.*Used \([0-9]*\) registers.*/\1/p' "$tmp/log" | head -n 1)
	spills=$(sed -n 's/.* \([0-9]*\) bytes spill stores.*/\1/p' "$tmp/log" | head -n 1)
	local_bytes=$(sed -n 's/.* \([0-9]*\) bytes smem.*/\1/p' "$tmp/log" | head -n 1)
	judge "$target $(basename "$file") $*" "$registers" "$spills" "${local_bytes:-0}"
}

each() { # FUNCTION TARGET
	for file in "$dir"/append_rows.cl "$dir"/attend_merge.cl "$dir"/read_rows.cl "$dir"/seal_affine.cl \
		"$dir"/table_update.cl; do
		"$1" "$2" "$file" -DLANES=64 -DVEC=1
	done
	"$1" "$2" "$dir/attend_partial.cl" -DLANES=64 -DVEC=1 -DG=3
	"$1" "$2" "$dir/attend_partial.cl" -DLANES=64 -DVEC=1 -DG=3 -DTR=4
	"$1" "$2" "$dir/attend_partial.cl" -DLANES=64 -DVEC=1 -DG=4 -DDK=128 -DDV=128
	"$1" "$2" "$dir/attend_partial.cl" -DLANES=64 -DVEC=1 -DG=4 -DDK=128 -DDV=128 -DTR=2
}

if command -v clang-19 >/dev/null && [ -d "$rocm" ]; then
	for target in gfx90a gfx1030; do each amd $target; done
else
	echo "SKIPPED AMD: no clang-19 with rocm-device-libs here"
fi
if command -v clang-19 >/dev/null && [ -n "$libclc" ] && [ -n "$ptxas" ]; then
	for target in sm_80 sm_90; do each nvidia $target; done
else
	echo "SKIPPED NVIDIA: no clang-19 with libclc-15 and ptxas here"
fi
[ $ran -gt 0 ] || { echo "SKIPPED: no compiler for GPUs here"; exit 77; }
[ $bad = 0 ]
