#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One table of all methods: bytes of a prompt's token, divergence from f16 behind it, needles, several turns over one prompt, time.
# usage: families.sh BUILD MODEL OUT TEXT TRAIN-TEXT [RECIPE]...
#   BUILD        folder where make and make bench BENCH_RUN=0 were done
#   OUT          folder: files trained on TRAIN-TEXT, scores as they are done (an ended run goes on), families.md
#   RECIPE       default: all that are listed below
#   CLKV_FAMILIES_CONTEXT   prompt tokens, default 1024
#   CLKV_FAMILIES_TOKENS    scored behind it, default 512
#   CLKV_FAMILIES_CASES     prompts of a task, default 4
set -euo pipefail
if [ $# -lt 5 ]; then
	sed -n '4,10s/^# //p' "$0" >&2
	exit 2
fi
build=$1 model=$2 out=$3 text=$4 other=$5
shift 5
here=$(dirname "$0")
context=${CLKV_FAMILIES_CONTEXT:-1024} tokens=${CLKV_FAMILIES_TOKENS:-512} cases=${CLKV_FAMILIES_CASES:-4}
recipes=("$@")
if [ ${#recipes[@]} = 0 ]; then
	recipes=(
		# codes
		kivi:bits=4 kivi:bits=2 kitty kvquant kvquant:bits=2 q:k=4,v=4,rot=hadamard kvcomp kvcomp:entropy=huffman qtc qaq
		qaq:outliers=0,n=64,eps_v=0.1,qn=1000
		# latents
		"lowrank:rank=48 | kivi:bits=4" "cskv:k=0.75,v=0.75,bits=4" "lorc:k=0.5,v=1 | kivi:bits=3" "recalkv:k=0.5,v=1 | kivi:bits=3" clla:k=0.5,v=0.5
		csr:bits=8
		# channels
		think:keep=0.5 spark:keep=0.5 "spark:keep=0.3 | kvcomp"
		# tokens, a quarter of them where there's a number
		streaming:budget=256 l2norm:budget=256 h2o:budget=256 snapkv:budget=256 expected:budget=256 morphkv:budget=256
		cascade:budget=256 prefixkv:budget=256 zeromerge:budget=256 kvmerger:budget=256 corm:obs=32 dbudgetkv:tau=0.05
		kvzip:budget=256 kvzip:budget=128
		# tokens or bits
		"expected | kivi:bits=4,group=64 ; budget_bytes=69632,window=32"
		"snapkv:obs=8,pool=7,pooling=max | kivi:bits=4,group=64 ; budget_bytes=69632,window=32"
		"kvzip | kivi:bits=4,group=64 ; budget_bytes=69632,window=32"
		# recall
		topk:recall=256 clusterkv:recall=256 pages:recall=256 pages:recall=256,alloc=entropy "kivi:bits=4 | a2ats:recall=256,codes=256"
	)
fi
mkdir -p "$out"
# lorc's come of the weights
made() {
	local name=$1 from=(--text "$other")
	shift
	[ "$name" = lorc ] && from=()
	[ -s "$out/$name" ] || "$build/clkv-train" --model "$model" "${from[@]}" "$@" >&2
}
made qtc --for qtc --out "$out/qtc"
made factors --for lowrank --tokens 2048 --out "$out/factors"
made lorc --for lorc --out "$out/lorc"
made recalkv --for recalkv --tokens 2048 --out "$out/recalkv"
made clla --for clla --tokens 2048 --out "$out/clla"
made dictionary --for csr --recipe csr --out "$out/dictionary"
made codebook --recipe a2ats:codes=256 --tokens 4096 --out "$out/codebook"
# clkv-eval over recipes of one file of factors; those of csr, lorc, recalkv and clla are others than lowrank's
judge() {
	local name=$1 factors=$2 args=()
	shift 2
	for recipe in f16 "$@"; do
		args+=(--recipe "$recipe")
	done
	args+=(--model "$model" --text "$text" --context "$context" --json --calibration "$out/qtc" --codebook "$out/codebook"
		--factors "$out/$factors")
	"$build/clkv-eval" "${args[@]}" --tokens "$tokens" --resume "$out/$name-text.records" >"$out/$name-text.jsonl"
	for task in needle turns; do
		"$build/clkv-eval" "${args[@]}" --task $task --cases "$cases" --resume "$out/$name-$task.records" >"$out/$name-$task.jsonl"
	done
}
sparse=() lorc=() recalkv=() clla=() others=()
for recipe in "${recipes[@]}"; do
	case $recipe in
	csr*) sparse+=("$recipe") ;;
	lorc*) lorc+=("$recipe") ;;
	recalkv*) recalkv+=("$recipe") ;;
	clla*) clla+=("$recipe") ;;
	*) others+=("$recipe") ;;
	esac
done
[ ${#others[@]} = 0 ] || judge all factors "${others[@]}"
[ ${#sparse[@]} = 0 ] || judge csr dictionary "${sparse[@]}"
[ ${#lorc[@]} = 0 ] || judge lorc lorc "${lorc[@]}"
[ ${#recalkv[@]} = 0 ] || judge recalkv recalkv "${recalkv[@]}"
[ ${#clla[@]} = 0 ] || judge clla clla "${clla[@]}"
# one row of generation over 4,096 tokens, one layer, processor time; each recipe in a run with f16
: >"$out/time.jsonl"
for recipe in "${recipes[@]}"; do
	"$build/bench/clkv-bench" attend --recipe f16 --recipe "$recipe" --tokens 4096 --cpu-time --json >>"$out/time.jsonl" 2>/dev/null || true
done
cat "$out"/{all,csr,lorc,recalkv,clla}-*.jsonl "$out/time.jsonl" 2>/dev/null | awk -f "$here/field.awk" -f "$here/families.awk" |
	tee "$out/families.md"
