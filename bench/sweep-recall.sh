#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Attention mass recalled, and attention's error, against the budget, on the test model: JSON lines, a table, a plot.
# usage: sweep-recall.sh CLKV-EVAL MODEL OUT.svg TEXT      CLKV_SWEEP_CONTEXT: prompt tokens, default 6144
# CLKV_SWEEP_OFFSET: first token, default 0. OUT.jsonl beside the plot keeps the lines; one that is there is plotted again.
# shellcheck disable=SC2034
set -euo pipefail
# shellcheck source=bench/sweep.sh
. "$(dirname "$0")/sweep.sh"
if [ $# -ne 4 ]; then
	sed -n '3,5s/^# //p' "$0" >&2
	exit 2
fi
eval=$1 model=$2 plot=$3 text=$4
lines=${plot%.svg}.jsonl
if [ ! -s "$lines" ] && [ ! -r "$text" ]; then
	echo "sweep-recall: skipped, no text '$text' here; any text of 6,657 tokens will do" >&2
	exit 77
fi
CLKV_SWEEP_CONTEXT=${CLKV_SWEEP_CONTEXT:-6144}
flags=(--attention --offset "${CLKV_SWEEP_OFFSET:-0}")
recipes=()
for budget in ${CLKV_SWEEP_BUDGETS:-128 256 512 1024 2048}; do
	recipes+=("topk:recall=$budget" "a2ats:codes=256,recall=$budget" "clusterkv:per=16,recall=$budget"
		"clusterkv:per=80,recall=$budget" "pages:page=16,recall=$budget")
done
sweep_lines "$lines" "$eval" "$model" "$text"

data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
cat >"$data/rows.awk" <<'AWK'
{
	recipe = field("recipe")
	budget = recipe
	sub(/.*recall=/, "", budget)
	line = recipe
	sub(/,?recall=.*/, "", line)
	sub(/:$/, "", line)
	printf "%-40s mass %.4f  error %.4f\n", recipe, field("mass"), field("attention_error")
	file = dir "/" line
	gsub(/[,=:]/, "_", file)
	if (!(file in known)) {
		known[file] = 1
		print file "\t" line >>(dir "/list")
	}
	print budget, 1 - field("mass"), field("attention_error") >>file
}
AWK
awk -v dir="$data" -f "$(dirname "$0")/field.awk" -f "$data/rows.awk" "$lines"
command -v gnuplot >/dev/null || { echo "plot: skipped, no gnuplot here" >&2; exit 77; }

# COLUMN TITLE: a panel
panel()
{
	echo "set title '$2'"
	awk -F '\t' -v column="$1" 'BEGIN { printf "plot" }
		{ printf "%s \"%s\" using 1:%s with linespoints title \"%s\" noenhanced", (NR > 1 ? "," : ""), $1, column, $2 }
		END { print "" }' "$data/list"
}
{
	echo "set terminal svg size 960,460 background rgb 'white'"
	echo "set output '$plot'"
	echo "set multiplot layout 1,2"
	echo "set logscale x 2; set logscale y; set grid; set key below; set format y '%g'; set yrange [0.002:0.3]"
	echo "set xlabel 'recall: tokens chosen by a query head'; set xrange [112:2340]"
	panel 2 'attention mass that is not recalled'
	panel 3 'error of attention'
	echo "unset multiplot"
} >"$data/script"
gnuplot "$data/script"
