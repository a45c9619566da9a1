#!/bin/sh
# SPDX-License-Identifier: MIT
# Draws JSON lines of clkv-bench attend: nanoseconds per token and KV head against tokens, a panel per shape.
# usage: plot.sh LINES OUT.svg [D:G...]      default 64:3 128:4 128:1; LINES: what bench/compare.sh printed
set -eu
here=$(dirname "$0")
lines=$1 out=$2
shift 2
[ $# -gt 0 ] || set -- 64:3 128:4 128:1
command -v gnuplot >/dev/null || { echo "plot: skipped, no gnuplot here" >&2; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

# One file of "tokens ns" per shape and recipe, and gnuplot's list of them.
awk -v dir="$dir" -f "$here/field.awk" -f "$here/plot.awk" "$lines"

{
	echo "set terminal svg size $((420 * $#)),440 background rgb 'white'"
	echo "set output '$out'"
	echo "set multiplot layout 1,$#"
	echo "set logscale xy; set yrange [2:600]; set grid; set key below; set xlabel 'tokens'; set ylabel 'ns per token and KV head'"
	echo "set format x '%.0f'; set xtics ('512' 512, '2k' 2048, '8k' 8192, '32k' 32768, '128k' 131072)"
	for shape in "$@"; do
		[ -e "$dir/$shape.list" ] || { echo "plot: no lines of $shape in $lines" >&2; exit 1; }
		echo "set title 'head size ${shape%%:*}, ${shape##*:} query heads per KV head'"
		awk -F '\t' 'BEGIN { printf "plot" }
			{ printf "%s \"%s\" using 1:2 with linespoints title \"%s\" noenhanced", (NR > 1 ? "," : ""), $1, $2 }
			END { print "" }' "$dir/$shape.list"
	done
	echo "unset multiplot"
} >"$dir/script"
gnuplot "$dir/script"
