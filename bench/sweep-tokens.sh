#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Loss against bytes of the stages that select tokens, over budgets, on the test model: JSON lines, a table, a plot.
# usage: sweep-tokens.sh CLKV-EVAL MODEL OUT.svg TEXT...   CLKV_SWEEP_CONTEXT: prompt tokens, default 3072
# CLKV_SWEEP_BUDGETS: default "0.05 256 0.1 512 0.25 1024 0.5"; CLKV_SWEEP_STAGES: default all. OUT.jsonl beside the plot
# keeps the lines; one that is there is plotted again, and with CLKV_SWEEP_MORE=1 what lacks in it is evaluated.
# shellcheck disable=SC2034
set -euo pipefail
# shellcheck source=bench/sweep.sh
. "$(dirname "$0")/sweep.sh"
flags=(${CLKV_SWEEP_OFFSET:+--offset "$CLKV_SWEEP_OFFSET"})
all=("corm:obs=32" "corm:obs=256" "dbudgetkv:tau=0.01" "dbudgetkv:tau=0.05" "dbudgetkv:tau=0.2")
for budget in ${CLKV_SWEEP_BUDGETS:-0.05 256 0.1 512 0.25 1024 0.5}; do
	for stage in ${CLKV_SWEEP_STAGES:-streaming l2norm h2o snapkv expected kvzip morphkv prefixkv zeromerge cascade kvmerger}; do
		all+=("$stage:budget=$budget")
	done
done

# OUT.jsonl EVAL MODEL TEXT...: what lacks, at most 16 recipes at a time
missing_lines()
{
	local lines=$1 eval=$2 model=$3 text name recipe
	shift 3
	[ ! -s "$lines" ] || [ -n "${CLKV_SWEEP_MORE:-}" ] || return 0
	touch "$lines"
	for text in "$@"; do
		name=$(basename "$text" .txt)
		while :; do
			recipes=()
			for recipe in "${all[@]}"; do
				[ ${#recipes[@]} -lt 16 ] || break
				grep -qF "{\"text\": \"$name\", \"recipe\": \"$recipe\"" "$lines" || recipes+=("$recipe")
			done
			[ ${#recipes[@]} -gt 0 ] || break
			sweep_lines "$lines.part" "$eval" "$model" "$text"
			cat "$lines.part" >>"$lines"
			rm "$lines.part"
		done
	done
}

if [ $# -lt 4 ]; then
	sed -n '3,6s/^# //p' "$0" >&2
	exit 2
fi
series='function series(recipe) { sub(/:.*/, "", recipe); return recipe }'
apart='corm|dbudgetkv'
xrange=1000:14000 yrange=0.01:0.5 height=560
missing_lines "${3%.svg}.jsonl" "$1" "$2" "${@:4}"
sweep "$0" "$@"
