#!/usr/bin/env bash
# Compiles the kernels that the library builds for GPUs with each vendor's compiler, without a GPU, and prints
# registers, spills, scratch and local memory. Spilled registers and more than 32 KiB of local memory fail.
#
#   check-offline.sh [amd] [nvidia] [spirv] [intel]     which vendors; all if none is named
#   CLKV_OFFLINE=all     every recipe in every shape and form (hours), instead of a choice that meets each branch
#   CLKV_INTEL_SPILLS=N  registers that may be spilled on Intel's GPUs; none if not set
#   JOBS=N               compilers at a time; all processors if not set
#   PTXAS=FILE           NVIDIA's assembler, of a CUDA toolkit
#
# Exit status: 0, 1, or 77 where no vendor's compiler is there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
list=tests/vendors/list_kernels
[ $# != 0 ] || set -- amd nvidia spirv intel
OFFLINE_TMP=$(mktemp -d)
export OFFLINE_TMP
trap 'rm -rf "$OFFLINE_TMP"' EXIT
export OFFLINE_CL=$OFFLINE_TMP/cl # all in one folder: includes name none
mkdir "$OFFLINE_CL"
cp "$here"/../../cl/*/*.cl "$here"/../../cl/*/*.clh "$OFFLINE_CL"
ran=0 bad=0

need() { # COMMAND PACKAGE
	command -v "$1" >/dev/null || { why="no $1 here (Debian: $2)"; return 1; }
}

first() { # FILE...: the first that exists
	for f in "$@"; do
		[ ! -e "$f" ] || { echo "$f"; return; }
	done
}

# The device library tells the compiler a chip's number by a file of its own, which it lacks for newer chips:
# 1000 major + 100 minor + stepping.
amd_chip() { # CHIP NUMBER
	[ ! -e "$OFFLINE_ROCM/oclc_isa_version_$1.bc" ] || return 0
	echo "const __constant int __oclc_ISA_version = $2;" >"$OFFLINE_TMP/isa.cl"
	clang-19 -x cl -cl-std=CL1.2 -target amdgcn-amd-amdhsa -nogpulib -O1 -emit-llvm -c "$OFFLINE_TMP/isa.cl" \
		-o "$OFFLINE_ROCM/oclc_isa_version_$1.bc"
}

ready_amd() {
	need clang-19 clang-19 && need ld.lld-19 lld-19 || return 1
	library=$(first /usr/lib/*/amdgcn/bitcode /opt/rocm/amdgcn/bitcode)
	[ -n "$library" ] || { why="no device library here (Debian: rocm-device-libs)"; return 1; }
	export OFFLINE_ROCM=$OFFLINE_TMP/rocm
	mkdir "$OFFLINE_ROCM"
	ln -s "$library"/*.bc "$OFFLINE_ROCM"
	amd_chip 942 9402
	amd_chip 1100 11000
}

ready_nvidia() {
	need clang-19 clang-19 || return 1
	OFFLINE_LIBCLC=$(first /usr/lib/clc/nvptx64--nvidiacl.bc /usr/share/clc/nvptx64--nvidiacl.bc)
	OFFLINE_PTXAS=${PTXAS:-$(command -v ptxas || first /usr/local/cuda/bin/ptxas)}
	export OFFLINE_LIBCLC OFFLINE_PTXAS
	[ -n "$OFFLINE_LIBCLC" ] || { why="no libclc here (Debian: libclc-15)"; return 1; }
	[ -n "$OFFLINE_PTXAS" ] || { why="no ptxas here: it comes with a CUDA toolkit"; return 1; }
	clang-19 -x cl -cl-std=CL1.2 -cl-no-stdinc -target nvptx64--nvidiacl -O2 -emit-llvm -c "$here/nvptx_native.cl" \
		-o "$OFFLINE_TMP/native.bc"
}

ready_spirv() {
	need clang-15 clang-15 && need llvm-spirv-15 llvm-spirv-15 && need spirv-val spirv-tools
}

ready_intel() {
	need ocloc intel-opencl-icd && need readelf binutils
}

# TARGET, kernels (a pattern), one per line. Of near twins the second gets those alone that hold many values.
targets() {
	twin='(attend|seal|bounded|prune)_.*\.cl'
	[ "${CLKV_OFFLINE:-}" != all ] || twin='.*'
	case $1 in
	amd) printf '%s\n' 'gfx90a .*' "gfx942 $twin" 'gfx1100 .*' ;;
	nvidia) printf '%s\n' 'sm_80 .*' "sm_90 $twin" ;;
	spirv) echo 'spirv .*' ;;
	intel) printf '%s\n' 'intel-dg2 .*' "intel-pvc $twin" ;;
	esac
}

compile() { # VENDOR
	targets "$1" | while read -r target pattern; do
		awk -F '\t' -v target="$target" -v pattern="^($pattern)\$" \
			'$2 ~ pattern { printf "%s%c%s%c%s%c%s%c", target, 0, $1, 0, $2, 0, $3, 0 }' "$OFFLINE_TMP/kernels"
	done | xargs -0 -n 4 -P "${JOBS:-$(nproc)}" bash "$here/offline-one.sh" >"$OFFLINE_TMP/$1"
}

[ -x $list ] || { echo "SKIPPED: no $list: Check isn't there"; exit 77; }
status=0
$list ${CLKV_OFFLINE:+--all} >"$OFFLINE_TMP/list" || status=$?
[ $status != 77 ] || { echo "SKIPPED: no OpenCL device to list the kernels with"; exit 77; }
[ $status = 0 ] || exit 1
awk -F '\t' '!seen[$2 FS $3]++' "$OFFLINE_TMP/list" >"$OFFLINE_TMP/kernels"

for vendor in "$@"; do
	why=
	if ! "ready_$vendor"; then
		echo "SKIPPED: $vendor: $why"
		continue
	fi
	compile "$vendor"
	cat "$OFFLINE_TMP/$vendor"
	n=$(grep -cE '^(ok|BAD) ' "$OFFLINE_TMP/$vendor") n_bad=$(grep -c '^BAD' "$OFFLINE_TMP/$vendor" || true)
	echo "$vendor: $n compiled, $n_bad bad"
	ran=$((ran + n)) bad=$((bad + n_bad))
done
[ $ran != 0 ] || exit 77
[ $bad = 0 ]
