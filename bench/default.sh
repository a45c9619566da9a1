#!/bin/sh
# SPDX-License-Identifier: MIT
# The default set of benchmarks: JSON lines, then a table of ratios.
# usage: default.sh CLKV-BENCH [OPTION...]
set -eu
bench=$1
shift
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
trap 'exit 1' INT TERM
recipes='--recipe f16 --recipe kivi:bits=4 --recipe kivi:bits=2 --recipe q:k=8,v=8 --recipe kvcomp --recipe kvcomp:entropy=huffman --recipe think:keep=0.5;seal=chunk --recipe spark:keep=0.5;seal=chunk'

# A pipe would hide that the program has failed.
run()
{
	# shellcheck disable=SC2086
	lines_of_run=$("$bench" "$@" $recipes --json)
	printf '%s\n' "$lines_of_run" | tee -a "$lines"
}

run attend --head-dim 64 --q-heads 9 --kv-heads 3 --tokens 8192 "$@"
run attend --head-dim 128 --q-heads 32 --kv-heads 8 --tokens 8192 "$@"
run prefill --head-dim 64 --q-heads 9 --kv-heads 3 --tokens 4096 --rows 512 "$@"
run append --head-dim 64 --q-heads 9 --kv-heads 3 --tokens 8192 --rows 512 "$@"
recipes=${recipes#--recipe f16 } # which seals nothing
run codec --head-dim 64 --q-heads 9 --kv-heads 3 --tokens 8192 --rows 512 "$@"
awk -f "$(dirname "$0")/field.awk" -f "$(dirname "$0")/ratios.awk" "$lines"
