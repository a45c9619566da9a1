#!/usr/bin/env bash
# What only a GPU can tell, in one call of less than ten minutes: correctness, orders of work-groups, tunings, shares of the
# memory's bandwidth, prompts, recall, PyTorch's attention beside it. Prints tables and writes them, in Markdown, to a file.
#
#   scripts/gpu.sh --pack FOLDER   puts programs and the libraries that they need into a folder, which runs where nothing can be
#                                  installed and no compiler is: FOLDER/gpu.sh there (glibc no older than this machine's)
#   scripts/gpu.sh [--device D] [--out FILE] [--seconds N]
#                                  runs; D as clkv-info lists devices (default gpu), FILE default gpu.md, N default 540: what
#                                  has not begun by then is left out, with a word
#
# Rehearse on a CPU with the form of GPUs: CLKV_TEST_LANES=1 CLKV_TUNE=lanes=32,vec=2 scripts/gpu.sh --device cpu --seconds 300
#   CLKV_BUILD   a build folder of clkv, for --pack and runs from a tree; default build
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
all=(check_attend check_step check_seal check_sequence check_prefill check_kvcomp check_qtc check_select check_recall
	check_prune check_merge)
in_order=(check_attend check_step check_seal check_select check_recall)
lengths=8192,32768,131072

fail()
{
	echo "gpu.sh: $*" >&2
	exit 2
}

# ---- packing ----

# PROGRAM FOLDER: without libtool's wrapper
copy_program()
{
	local real
	real=$(dirname "$1")/.libs/$(basename "$1")
	[ -f "$real" ] || real=$1
	install -s "$real" "$2/$(basename "$1")"
}

# All but the C library's own, which must fit the machine's kernel and loader.
copy_libraries() # FOLDER: of bin/* into lib
{
	LD_LIBRARY_PATH=$build/lib/.libs ldd "$1"/bin/* | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p' | sort -u |
		grep -Ev '/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*)\.so' | while read -r library; do
		install "$library" "$1/lib/"
	done
}

pack()
{
	local folder=$1 program made=()
	build=$(cd "$here/.." && cd "${CLKV_BUILD:-build}" && pwd) || fail "no build folder: scripts/build.sh makes one"
	for program in "${all[@]}"; do
		made+=("tests/$program")
	done
	make -s -C "$build" clkv-info clkv-tune bench/clkv-bench "${made[@]}"
	mkdir -p "$folder/bin" "$folder/lib"
	for program in clkv-info clkv-tune bench/clkv-bench "${made[@]}"; do
		copy_program "$build/$program" "$folder/bin"
	done
	copy_libraries "$folder"
	cp "$here/gpu.sh" "$here/../bench/field.awk" "$here/../bench/ratios.awk" "$here/../bench/torch_attend.py" "$folder/"
	du -sh "$folder"
}

# ---- running ----

# A driver that is mounted, not installed, has no .icd file.
find_driver()
{
	local folder library
	[ -z "${OCL_ICD_VENDORS:-}" ] || return 0
	! ls /etc/OpenCL/vendors/*.icd >/dev/null 2>&1 || return 0
	for folder in /usr/local/nvidia/lib64 /usr/local/nvidia/lib /usr/lib/x86_64-linux-gnu /opt/rocm/lib /usr/lib64; do
		for library in "$folder"/libnvidia-opencl.so.1 "$folder"/libamdocl64.so; do
			[ -e "$library" ] || continue
			echo "$library" >"$scratch/found.icd"
			export OCL_ICD_VENDORS=$scratch LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
			return 0
		done
	done
}

# programs and where they lie: a packed folder, or a tree and its build
find_programs()
{
	if [ -d "$here/bin" ]; then
		awks=$here bin=$here/bin suites=$here/bin bench=$here/bin
		export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
		return
	fi
	bin=$(cd "$here/.." && cd "${CLKV_BUILD:-build}" && pwd) || fail "no build folder: scripts/build.sh makes one"
	awks=$here/../bench suites=$bin/tests bench=$bin/bench
	local made=()
	for suite in "${all[@]}"; do
		made+=("tests/$suite")
	done
	make -s -C "$bin" bench/clkv-bench "${made[@]}"
}

left() { echo $((end - $(date +%s))); }

# NAME MOST COMMAND...: runs it for MOST seconds or what is left; its word goes to the table when that doesn't do
within()
{
	local name=$1 most=$2 status=0 have
	shift 2
	have=$(left)
	if [ "$have" -lt 5 ]; then
		echo "| $name | left out: no time |" >>"$words"
		return 0
	fi
	timeout $((have < most ? have : most)) "$@" || status=$?
	[ $status = 0 ] || echo "| $name | $([ $status = 124 ] && echo "stopped after $most s" || echo "failed, exit status $status") |" >>"$words"
}

# NAME SUITE: its last line as a row, if it came to one
check()
{
	local log=$scratch/${1// /_}.log
	: >"$log"
	within "$1" 90 "$suites/$2" >"$log" 2>&1
	sed -nE "s/^[0-9]+%: Checks.*/| $1 | & |/p" "$log" >>"$checks"
	sed -nE '/^[^ ]+:[0-9]+:[FE]:/p' "$log" | head -n 5
}

# Most of a suite's time is the driver's compiler, on one core.
in_turn()
{
	while [ "$(jobs -rp | wc -l)" -ge $((($(nproc) + 1) / 2)) ]; do
		wait -n || true
	done
}

run_checks()
{
	local suite
	export CLKV_TEST_DEVICE=$device
	for suite in "${all[@]}"; do
		in_turn
		check "$suite" "$suite" &
	done
	for suite in "${in_order[@]}"; do
		in_turn
		CLKV_TEST_ORDER=reverse check "$suite, groups in reverse" "$suite" &
	done
	wait
}

tune()
{
	within "clkv-tune" 90 "$bin/clkv-tune" --device "$device" --time 1 | tail -n 20
}

# NAME OPTION...: lines of clkv-bench
measure()
{
	local name=$1
	shift
	within "$name" 100 "$bench/clkv-bench" "$@" --device "$device" --json >>"$lines"
}

run_benches()
{
	local shape dim heads kv_heads recipes=(--recipe f16 --recipe kivi:bits=4 --recipe kvcomp --recipe qtc)
	for shape in 128:32:8 64:9:3; do
		IFS=: read -r dim heads kv_heads <<<"$shape"
		shape=(--head-dim "$dim" --q-heads "$heads" --kv-heads "$kv_heads")
		measure "attend, D $dim" attend "${shape[@]}" --tokens "$lengths" "${recipes[@]}"
		measure "prefill, D $dim" prefill "${shape[@]}" --tokens 4608 --rows 512 "${recipes[@]}"
		beside_torch "${shape[@]}"
	done
	measure "recall" recall --head-dim 128 --q-heads 32 --kv-heads 8 --tokens 131072 --recipe clusterkv:recall=1024
	measure "codec" codec --head-dim 128 --q-heads 32 --kv-heads 8 --tokens 8192 --recipe kivi:bits=4 --recipe kvcomp --recipe qtc
}

beside_torch()
{
	python3 -c 'import torch' 2>/dev/null || return 0
	within "torch" 60 python3 "$awks/torch_attend.py" --tokens "$lengths" "$@" >>"$lines"
}

write_tables()
{
	echo "Commit ${CLKV_COMMIT:-$(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo unknown)}, $(date -u +%F)."
	echo
	echo '```'
	cat "$scratch/info"
	echo '```'
	printf '\n| suite | result |\n|---|---|\n'
	cat "$checks"
	if [ -s "$words" ]; then
		printf '\n| part | why it is not whole |\n|---|---|\n'
		cat "$words"
	fi
	printf '\n```\n'
	cat "$scratch/tuned"
	printf '```\n\n```\n'
	[ ! -s "$lines" ] || awk -f "$awks/field.awk" -f "$awks/ratios.awk" "$lines"
	echo '```'
}

run()
{
	scratch=$(mktemp -d)
	trap 'rm -rf "$scratch"' EXIT
	checks=$scratch/checks words=$scratch/words lines=$scratch/lines
	touch "$checks" "$words" "$lines"
	find_programs
	end=$(($(date +%s) + seconds / 2)) # measuring has the other half
	find_driver
	export CLKV_CACHE_DIR=${CLKV_CACHE_DIR:-$scratch/programs}
	"$bin/clkv-info" >"$scratch/info" 2>&1 || fail "no device: $(cat "$scratch/info")"
	run_checks
	end=$((end + seconds - seconds / 2))
	tune >"$scratch/tuned" 2>&1
	run_benches
	write_tables | tee "$out"
	! grep -qE '(Failures|Errors): [1-9]' "$checks" && ! grep -q 'failed' "$words"
}

device=gpu out=gpu.md seconds=540
while [ $# -gt 0 ]; do
	[ "$1" != --help ] || { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0"; exit; }
	[ $# -ge 2 ] || fail "$1 needs a value; gpu.sh --help says more"
	case $1 in
	--pack) pack "$2"; exit ;;
	--device) device=$2 ;;
	--out) out=$2 ;;
	--seconds) seconds=$2 ;;
	*) fail "unknown option $1; gpu.sh --help says more" ;;
	esac
	shift 2
done
run
