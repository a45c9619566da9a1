#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Divergence against bits per value of all codecs, everything counted, with the same sinks and window for every row; what
# lies on the lower hull is filled and joined.
# usage: hull.sh CLKV-EVAL MODEL OUT.svg TEXT...
#   CLKV_HULL_CONTEXT   prompt tokens, default 2048
#   CLKV_HULL_TOKENS    scored in each window, default 512
#   CLKV_HULL_WINDOWS   of each text, default 4
#   CLKV_HULL_PROMPT    exact (default), chunked or growing
#   CLKV_HULL_KEYS      of every row, default "sinks=4, window=64"
#   CLKV_HULL_STDIN     1: recipes are the lines of standard input
#   CLKV_HULL_CALIBRATIONS   files of clkv-train --for qtc, a point of qtc for each
# Beside the plot: OUT.html, a page with the tables, OUT.jsonl, and OUT.records, from which a run that was ended goes on and a
# complete one is drawn again at once.
set -euo pipefail
if [ $# -lt 4 ]; then
	sed -n '5,12s/^# //p' "$0" >&2
	exit 2
fi
eval=$1 model=$2 out=${3%.svg}
shift 3
keys=${CLKV_HULL_KEYS-sinks=4, window=64}
# shellcheck disable=SC2054
recipes=(kivi:bits=2 kivi:bits=3 kivi:bits=4 kivi:k=3,v=2 kitty
	kvquant:bits=2 kvquant:bits=3 kvquant:bits=4
	q:k=8,v=8 q:k=4,v=4 q:k=4,v=4,rot=hadamard q:k=3,v=3,rot=hadamard q:k=2,v=2,rot=hadamard
	kvcomp kvcomp:rel_k=0.1,rel_v=0.1 kvcomp:rel_k=0.166667,rel_v=0.2,entropy=huffman
	kvcomp:rel_k=0.1,rel_v=0.1,entropy=huffman kvcomp:entropy=huffman
	kvcomp:rel_k=0.2,rel_v=0.2,entropy=huffman kvcomp:rel_k=0.25,rel_v=0.25,entropy=huffman)
if [ -n "${CLKV_HULL_STDIN:-}" ]; then
	mapfile -t recipes
fi
args=()
for recipe in "${recipes[@]}"; do
	args+=(--recipe "$recipe${keys:+ ; $keys}")
done
for file in ${CLKV_HULL_CALIBRATIONS:-}; do
	args+=(--recipe "qtc${keys:+ ; $keys} @ $file")
done
for text in "$@"; do
	args+=(--text "$text")
done
"$eval" --model "$model" --context "${CLKV_HULL_CONTEXT:-2048}" --tokens "${CLKV_HULL_TOKENS:-512}" \
	--windows "${CLKV_HULL_WINDOWS:-4}" --stride "${CLKV_HULL_TOKENS:-512}" --rows 32 \
	--prompt "${CLKV_HULL_PROMPT:-exact}" --resume "$out.records" --json \
	--plot "$out.svg" --html "$out.html" "${args[@]}" >"$out.jsonl.tmp"
mv "$out.jsonl.tmp" "$out.jsonl"
echo "plot: $out.svg; page: $out.html; lines: $out.jsonl"
