#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# clkv beside its peers on this CPU: attention beside ggml's and ONNX Runtime's, then whole models beside llama.cpp. One table each.
# usage: compare-all.sh [--cpu-time]
#
# What it takes comes from PyPI into virtual environments (pywhispercpp for its ggml, onnxruntime, xllamacpp); what can't be had is a
# word, and its rows are left out. --cpu-time counts processor time, for busy machines.
#   CLKV_BUILD                  a build folder of clkv; default build
#   CLKV_BENCH_CACHE            where packages are kept; default ~/.cache/clkv-bench
#   CLKV_COMPARE_TOKENS         default 8192
#   CLKV_COMPARE_SHAPES         default 64:9:3 128:32:8
#   CLKV_COMPARE_DEPTHS         of the whole models, default 0 7680; empty: no models
set -euo pipefail
cd "$(dirname "$0")/.."
build=${CLKV_BUILD:-build}
cache=${CLKV_BENCH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clkv-bench}
export CLKV_COMPARE_TOKENS=${CLKV_COMPARE_TOKENS:-8192}
shapes=${CLKV_COMPARE_SHAPES:-64:9:3 128:32:8}
export CLKV_COMPARE_RECIPES=${CLKV_COMPARE_RECIPES:-ggml:f16 ggml:f16,tokens ggml:q8_0 ggml:q4_0 f16 q:k=8,v=8 kivi:bits=4 kvcomp qtc qtc:entropy=pack}
read -ra depths <<<"${CLKV_COMPARE_DEPTHS-0 7680}"
models=("stock:f16" "stock:q4_0" f16 "kivi:bits=4" kvcomp)

install_peers()
{
	mkdir -p "$cache"
	[ -x "$cache/venv/bin/python" ] || python3 -m venv "$cache/venv" || return 1
	"$cache/venv/bin/python" -c 'import numpy, onnx, onnxruntime, _pywhispercpp' 2>/dev/null ||
		"$cache/venv/bin/pip" install --quiet pywhispercpp onnxruntime onnx numpy
}

# SHAPE [OPTION...]: JSON lines
lines_of_shape()
{
	local shape=$1 dim heads kv_heads length lines
	shift
	lines=$(mktemp)
	CLKV_PYTHON_EXE=$cache/venv/bin/python CLKV_COMPARE_SHAPES=$shape CLKV_COMPARE_LINES=$lines \
		bench/compare.sh "$build/bench/clkv-bench" "$@" >/dev/null || [ $? = 77 ]
	cat "$lines"
	rm -f "$lines"
	IFS=: read -r dim heads kv_heads <<<"$shape"
	for length in ${CLKV_COMPARE_TOKENS//,/ }; do
		"$cache/venv/bin/python" bench/onnx_attend.py --tokens "$length" --head-dim "$dim" --q-heads "$heads" \
			--kv-heads "$kv_heads" "$@" || echo "compare-all: no ONNX Runtime, its rows are left out" >&2
	done
}

attention()
{
	local shape
	for shape in $shapes; do
		lines_of_shape "$shape" "$@"
	done | awk -f bench/field.awk -f bench/ratios.awk
}

# tokens per second of clkv-generate's decoding at a depth
decoding()
{
	"$build/clkv-generate" --model "$model" --prompt The -n 33 --depth "$2" --ignore-eos --recipe "$1" 2>&1 >/dev/null |
		sed -n 's/^decode .* \([0-9.]*\) tokens\/s$/\1/p'
}

# The tools' own engine beside llama.cpp with its own caches and with clkv's.
whole_models()
{
	local recipe depth
	CLKV_BUILD=$build scripts/run-llama.sh --tokens 32 --depth "${depths[@]}" --cache "${models[@]}" || [ $? = 77 ]
	echo
	echo "clkv-generate, tokens/s at depth: ${depths[*]}"
	for recipe in f16 kivi:bits=4 kvcomp; do
		printf '%-14s' "$recipe"
		for depth in "${depths[@]}"; do
			printf ' %8s' "$(decoding "$recipe" "$depth")"
		done
		echo
	done
}

make -s -C "$build" bench/clkv-bench clkv-generate
install_peers || echo "compare-all: pywhispercpp and onnxruntime can't be had" >&2
attention "$@"
[ ${#depths[@]} = 0 ] && exit
model=$(scripts/get-model.sh) || { echo "compare-all: the model can't be had" >&2; exit 77; }
whole_models
