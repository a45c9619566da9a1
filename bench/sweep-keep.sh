#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Loss against bytes of think and spark over keep, alone and before codecs, on the test model: JSON lines, a table, a plot.
# usage: sweep-keep.sh CLKV-EVAL MODEL OUT.svg TEXT...     CLKV_SWEEP_CONTEXT: prompt tokens, default 3072
# OUT.jsonl beside the plot keeps the lines; one that is there is plotted again without evaluating.
# shellcheck disable=SC2034
set -euo pipefail
# shellcheck source=bench/sweep.sh
. "$(dirname "$0")/sweep.sh"
recipes=()
for keep in 0.75 0.6 0.5 0.35; do
	recipes+=("think:keep=$keep")
done
for keep in 0.8 0.65 0.5 0.35 0.3 0.2; do
	recipes+=("spark:keep=$keep")
done
# other forms of recovery; the last is the paper's
for recover in recover=zero recover=signmag recover=mean,saliency=abs,qagg=abs; do
	for keep in 0.5 0.3 0.2; do
		recipes+=("spark:keep=$keep,$recover")
	done
done
recipes+=("spark:keep=0.5 | q:k=8,v=8" "spark:keep=0.5 | kivi:bits=4" "spark:keep=0.5 | kvcomp"
	"spark:keep=0.3 | kvcomp"
	"spark:keep=0.2 | q:k=8,v=8,axis_k=channel"
	"think:keep=0.75 | kivi:bits=4" "think:keep=0.75 | kvcomp" "think:keep=0.75 | kivi:bits=3"
	"think:keep=0.75 | kivi:k=3,v=2"
	kivi:bits=4 kivi:bits=3 "kivi:k=3,v=2" kivi:bits=2
	kvcomp "q:k=4,v=8,axis_k=channel" "q:k=6,v=8,axis_k=channel" "q:k=8,v=8")
series='function series(recipe) {
	return recipe ~ /^spark.*[|]/ ? "spark | codec" : recipe ~ /^think.*[|]/ ? "think | codec" : \
		recipe ~ /^think/ ? "think" : recipe ~ /zero/ ? "spark, recover=zero" : \
		recipe ~ /signmag/ ? "spark, recover=signmag" : recipe ~ /mean/ ? "spark as in the paper" : \
		recipe ~ /^spark/ ? "spark" : recipe ~ /^kivi/ ? "kivi" : "other codecs"
}'
apart=codec
xrange=4000:24000 yrange=0.00001:0.5 height=600
sweep "$0" "$@"
