#!/usr/bin/env bash
# Compiles one kernel for one target and prints one line: verdict, target, kernel, recipe and heads, figures.
#   offline-one.sh TARGET LABEL FILE OPTIONS     check-offline.sh sets what OFFLINE_... names
# regs     AMD: of a lane. NVIDIA: of a thread. Intel: of a hardware thread, 128 always, shared by `simd` items.
# spilled  AMD: registers. NVIDIA: bytes. Intel: registers.
# scratch  bytes of memory per work-item: what is spilled, and arrays that are indexed at run time
set -euo pipefail
target=$1 label=$2 file=$3 options=$4
read -ra words <<<"$options"
tmp=$(mktemp -d "$OFFLINE_TMP/one.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
source=$OFFLINE_CL/$file
kernel=${file%.cl}
tr=${options##*-DTR=}
[ "$tr" = "$options" ] || kernel+=" tr=${tr%% *}"
regs=- spilled=- scratch=- lds=- note=

say() { # VERDICT FIGURES: one write, since others write too
	printf '%-3s %-9s %-22s %-52s %s\n' "$1" "$target" "$kernel" "$label" "$2"
}

fail() { # WHO LOG
	say BAD "$1: $(grep -m 3 -iE 'error|undefined|unresolved|can.t' "$2" || head -n 3 "$2")
    $file $options"
	exit 0
}

amd() {
	clang-19 -x cl "${words[@]}" -I "$OFFLINE_CL" -target amdgcn-amd-amdhsa -mcpu="$target" \
		--rocm-device-lib-path="$OFFLINE_ROCM" -O3 -S "$source" -o "$tmp/a.s" 2>"$tmp/log" || fail clang "$tmp/log"
	# Only the link finds a function that the device library lacks.
	clang-19 -target amdgcn-amd-amdhsa -mcpu="$target" "$tmp/a.s" -o "$tmp/a.out" 2>"$tmp/log" ||
		fail link "$tmp/log"
	number() { sed -n "s/^ *\\.$1: *\\([0-9]*\\).*/\\1/p" "$tmp/a.s" | head -n 1; }
	regs=$(number vgpr_count) spilled=$(number vgpr_spill_count) scalars=$(number sgpr_spill_count)
	scratch=$(number private_segment_fixed_size) lds=$(number group_segment_fixed_size)
	# Scalars without room go to lanes of vector registers, not to memory, while there is no scratch.
	[ "$scratch" = 0 ] || spilled=$((spilled + scalars))
	[ "$scalars" = 0 ] || note="$scalars scalars in vector registers"
}

nvidia() {
	clang-19 -x cl "${words[@]}" -I "$OFFLINE_CL" -target nvptx64--nvidiacl -Xclang -target-cpu -Xclang "$target" \
		-Xclang -target-feature -Xclang +ptx78 -Xclang -mlink-builtin-bitcode -Xclang "$OFFLINE_TMP/native.bc" \
		-Xclang -mlink-builtin-bitcode -Xclang "$OFFLINE_LIBCLC" -Wno-linker-warnings -O3 -S "$source" \
		-o "$tmp/a.ptx" 2>"$tmp/log" || fail clang "$tmp/log"
	"$OFFLINE_PTXAS" -v -arch="$target" "$tmp/a.ptx" -o "$tmp/a.out" >"$tmp/log" 2>&1 || fail ptxas "$tmp/log"
	bytes() { sed -n "s/.* \\([0-9]*\\) bytes $1.*/\\1/p" "$tmp/log" | head -n 1; }
	regs=$(sed -n 's/.*Used \([0-9]*\) registers.*/\1/p' "$tmp/log" | head -n 1)
	spilled=$(bytes 'spill stores') lds=$(bytes smem)
	scratch=$(sed -n 's/^ *\([0-9]*\) bytes stack frame.*/\1/p' "$tmp/log" | head -n 1)
	lds=${lds:-0}
}

# The translator of this age can't take all that clang makes at -O2, or writes what isn't valid: then without
# optimisation.
spirv() {
	for level in '-O2 -fno-vectorize -fno-slp-vectorize' -O0; do
		# shellcheck disable=SC2086 # a level is several words
		clang-15 -x cl "${words[@]}" -I "$OFFLINE_CL" -target spir64 $level -emit-llvm -c "$source" -o "$tmp/a.bc" \
			2>"$tmp/log" || fail clang-15 "$tmp/log"
		note=${level%% *} step=llvm-spirv
		llvm-spirv-15 "$tmp/a.bc" -o "$tmp/a.spv" 2>"$tmp/log" || continue
		step=spirv-val
		spirv-val "$tmp/a.spv" >"$tmp/log" 2>&1 || continue
		step=
		break
	done
	[ -z "$step" ] || fail "$step" "$tmp/log"
	spirv-dis --no-color "$tmp/a.spv" -o "$tmp/a.asm"
	# An import that isn't one of SPIR-V's own is a function that no driver has.
	missing=$(sed -n 's/.*LinkageAttributes "\([^"]*\)" Import.*/\1/p' "$tmp/a.asm" | grep -v '^__spirv_BuiltIn' || true)
	[ -z "$missing" ] || { echo "undefined: $missing" >"$tmp/log"; fail spirv "$tmp/log"; }
	# What it asks of a driver beyond OpenCL 1.2's own.
	beyond=$(sed -n 's/.*OpCapability //p' "$tmp/a.asm" |
		grep -vE '^(Addresses|Linkage|Kernel|Float16Buffer|Int64|Int16|Int8|Vector16)$' | paste -sd, || true)
	note+=${beyond:+ needs $beyond}
}

intel() {
	ocloc compile -file "$source" -device "${target#intel-}" -options "${words[*]} -I$OFFLINE_CL" \
		-internal_options -cl-intel-allow-zebin -output a -out_dir "$tmp" >"$tmp/log" 2>&1 || fail ocloc "$tmp/log"
	readelf -p .ze_info "$tmp"/a_*.bin >"$tmp/info" 2>/dev/null || fail ocloc "$tmp/log"
	value() { sed -n "s/.* $1: *\\([0-9]*\\).*/\\1/p" "$tmp/info" | head -n 1; }
	regs=$(value grf_count) lds=$(value slm_size) note="simd $(value simd_size)"
	spilled=$(sed -n 's/.*spilled around \([0-9]*\).*/\1/p' "$tmp/log" | tail -n 1)
	scratch=$(sed -n '/per_thread_memory_buffers/,$s/.* size: *\([0-9]*\).*/\1/p' "$tmp/info" | head -n 1)
	spilled=${spilled:-0} lds=${lds:-0} scratch=${scratch:-0}
}

case $target in
gfx*) amd ;;
sm_*) nvidia ;;
spirv) spirv ;;
intel-*) intel ;;
esac
verdict=ok allowed=0
# Intel's compiler chooses its SIMD width, and some spills in a wide one over none in a narrow one.
[[ $target != intel-* ]] || allowed=${CLKV_INTEL_SPILLS:-0}
if [ "${spilled/-/0}" -gt "$allowed" ] || [ "${lds/-/0}" -gt 32768 ]; then
	verdict=BAD
fi
say $verdict "regs $regs, spilled $spilled, scratch $scratch, local $lds${note:+, $note}"
