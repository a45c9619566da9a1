#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Loss against bytes of kvcomp over rel, beside kivi, on the test model: JSON lines, a table, doc/kvcomp.svg.
# usage: sweep-rel.sh CLKV-EVAL MODEL OUT.svg TEXT...      CLKV_SWEEP_CONTEXT: prompt tokens, default 3072
# OUT.jsonl beside the plot keeps the lines; one that is there is plotted again without evaluating.
set -euo pipefail
if [ $# -lt 4 ]; then
	sed -n '3,5s/^# //p' "$0" >&2
	exit 2
fi
eval=$1 model=$2 plot=$3
shift 3
lines=${plot%.svg}.jsonl
recipes=(kivi:bits=2 kivi:bits=3 kivi:bits=4)
# parts of a range that are whole numbers: the largest value of a unit then lies on the grid
for n in ${CLKV_SWEEP_PARTS:-16 12 10 8 7 6 5 4}; do
	rel=$(awk -v n="$n" 'BEGIN { printf "%.6f", 1 / n }')
	recipes+=("kvcomp:rel_k=$rel,rel_v=$rel,entropy=huffman")
done
# 3 bits, packed: the default; 4 bits, packed; coarser values; what the first token's exactness is worth
recipes+=(kvcomp "kvcomp:rel_k=0.066667,rel_v=0.066667,entropy=pack"
	"kvcomp:rel_k=0.166667,rel_v=0.2,entropy=huffman"
	"kvcomp:rel_k=0.1,rel_v=0.1,exact=0,entropy=huffman")
args=()
for r in "${recipes[@]}"; do
	args+=(--recipe "$r")
done
if [ ! -s "$lines" ]; then
	for text in "$@"; do
		"$eval" --model "$model" --text "$text" --context "${CLKV_SWEEP_CONTEXT:-3072}" \
			--tokens 512 --json "${args[@]}" |
			sed "s|^{|{\"text\": \"$(basename "$text" .txt)\", |"
	done >"$lines.tmp"
	mv "$lines.tmp" "$lines"
fi
data=$(mktemp -d)
trap 'rm -rf "$data"' EXIT
# "text recipe series rel bytes ratio delta kl", then one file of "bytes delta kl rel" per text and series
cat >"$data/rows.awk" <<'AWK'
{
	recipe = field("recipe")
	series = recipe ~ /^kivi/ ? "kivi" : recipe ~ /block/ ? "kvcomp, unit_k=block" : \
		recipe ~ /exact=0/ ? "kvcomp, exact=0" : recipe == "kvcomp" || recipe ~ /pack/ ? "kvcomp, pack" : "kvcomp, huffman"
	printf "%-14s %-48s %6.0f bytes %5.2f times %+7.2f %% KL %.4f\n", field("text"), recipe,
		field("bytes_per_token"), field("ratio"), field("delta_pct"), field("kl_mean")
	file = dir "/" field("text") "@" series
	gsub(/[ ,=]/, "_", file)
	if (!(file in known)) {
		known[file] = 1
		print file "\t" series >>(dir "/" field("text") ".list")
	}
	print field("bytes_per_token"), field("delta_pct"), field("kl_mean") >>file
}
AWK
awk -v dir="$data" -f "$(dirname "$0")/field.awk" -f "$data/rows.awk" "$lines"
command -v gnuplot >/dev/null || { echo "plot: skipped, no gnuplot here" >&2; exit 77; }
texts=("$data"/*.list)
{
	echo "set terminal svg size $((480 * ${#texts[@]})),440 background rgb 'white'"
	echo "set output '$plot'"
	echo "set multiplot layout 1,${#texts[@]}"
	echo "set logscale y; set grid; set key below; set xlabel 'bytes per token'"
	echo "set ylabel 'KL divergence from the exact cache, nats per token'; set xrange [2500:8500]; set yrange [0.001:0.5]"
	for list in "${texts[@]}"; do
		echo "set title '$(basename "$list" .list)'"
		awk -F '\t' 'BEGIN { printf "plot" }
			{ printf "%s \"%s\" using 1:3 with linespoints title \"%s\" noenhanced", (NR > 1 ? "," : ""), $1, $2 }
			END { print "" }' "$list"
	done
	echo "unset multiplot"
} >"$data/script"
gnuplot "$data/script"
