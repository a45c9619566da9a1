#!/bin/sh
# SPDX-License-Identifier: MIT
# Predicts the time of a step of examples/04_mpi_decode over ranks from constants that it measures on this machine, and measures it: a
# table on standard output (doc/scale.md). Each rank has one thread.
# usage: ranks.sh PROGRAM [TOKENS [RANKS...]]    default: 131072 tokens, ranks 1 2 4
#   CLKV_RANKS_REPEATS: runs of each kind, of which the median counts (default 5)    CLKV_RANKS_STEPS: of a run (default 40)
set -eu
program=${1:?usage: ranks.sh PROGRAM [TOKENS [RANKS...]]}
tokens=${2:-131072}
[ $# -ge 2 ] && shift 2 || shift 1
[ $# -gt 0 ] || set -- 1 2 4
[ -x "$program" ] && command -v mpirun >/dev/null || { echo "ranks.sh: skipped, no MPI here (make check-mpi builds the program)" >&2; exit 77; }
repeats=${CLKV_RANKS_REPEATS:-5} steps=${CLKV_RANKS_STEPS:-40}
cores=$(nproc)
few=512 # tokens of a rank whose attention costs next to nothing
export POCL_MAX_PTHREAD_COUNT=1 POCL_CPU_MAX_CU_COUNT=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
	OMPI_MCA_rmaps_base_oversubscribe=1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

run() { # RANKS TOKENS: notes milliseconds of a step
	# a rank that waits keeps its core busy, unless told to let others have it; cores get even numbers of ranks
	yield=0
	[ "$1" -le "$cores" ] || yield=1
	mpirun --bind-to core:overload-allowed --mca mpi_yield_when_idle $yield -n "$1" "$program" "$2" "$steps" f16 --fill >"$dir/out"
	sed -n 's/.*: \([0-9.]*\) ms per step$/\1/p' "$dir/out" >>"$dir/$1-$2"
}
# kinds take turns, so that what else the machine does meets all of them
i=0
while [ $i -lt "$repeats" ]; do
	run 1 $few
	run 1 $((tokens / 2 + tokens / 4))
	for r in "$@"; do
		run "$r" $((few * r))
		run "$r" "$tokens"
	done
	i=$((i + 1))
done
median() { sort -n "$dir/$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
long=$(median 1-$((tokens / 2 + tokens / 4)))
alone=$(median 1-$few)
# a line through one rank's two lengths: a step's launches, and a token's attention
awk -v t="$tokens" -v few="$few" -v s="$alone" -v l="$long" 'BEGIN {
	b = (l - s) / (t / 2 + t / 4 - few)
	printf "%.9g %.9g\n", s - b * few, b
}' >"$dir/line"
read -r start token <"$dir/line"
echo "$cores cores, load $(cut -d' ' -f1-3 /proc/loadavg), medians of $repeats runs of $steps steps; one rank: $start ms, and $token ms a token"
echo
echo "| ranks | tokens of a rank | ranks a core | exchange, ms | predicted, ms | measured, ms | measured / predicted |"
echo "|---|---|---|---|---|---|---|"
for r in "$@"; do
	awk -v r="$r" -v cores="$cores" -v n="$tokens" -v a="$start" -v b="$token" -v alone="$alone" \
		-v tiny="$(median "$r-$((few * r))")" -v measured="$(median "$r-$tokens")" 'BEGIN {
		share = r > cores ? r / cores : 1
		exchange = r > 1 ? tiny - share * alone : 0
		exchange = exchange > 0 ? exchange : 0
		predicted = share * (a + b * n / r) + exchange
		printf "| %d | %d | %g | %.3g | %.3g | %.3g | %.2f |\n", r, n / r, share, exchange, predicted, measured, measured / predicted
	}'
done
