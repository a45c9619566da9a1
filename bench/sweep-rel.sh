#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Loss against bytes of kvcomp over rel, beside kivi, on the test model: JSON lines, a table, doc/kvcomp.svg.
# usage: sweep-rel.sh CLKV-EVAL MODEL OUT.svg TEXT...      CLKV_SWEEP_CONTEXT: prompt tokens, default 3072
# OUT.jsonl beside the plot keeps the lines; one that is there is plotted again without evaluating.
# shellcheck disable=SC2034
set -euo pipefail
# shellcheck source=bench/sweep.sh
. "$(dirname "$0")/sweep.sh"
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
series='function series(recipe) {
	return recipe ~ /^kivi/ ? "kivi" : recipe ~ /block/ ? "kvcomp, unit_k=block" : \
		recipe ~ /exact=0/ ? "kvcomp, exact=0" : \
		recipe == "kvcomp" || recipe ~ /pack/ ? "kvcomp, pack" : "kvcomp, huffman"
}'
xrange=2500:8500 yrange=0.001:0.5
sweep "$0" "$@"
