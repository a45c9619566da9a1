#!/bin/sh
# SPDX-License-Identifier: MIT
# Draws JSON lines of clkv-bench attend: nanoseconds per token and KV head against tokens, a panel per shape.
# usage: plot.sh LINES OUT.svg [D:G...]      default 64:3 128:4 128:1; LINES: what bench/compare.sh printed
set -eu
lines=$1 out=$2
shift 2
[ $# -gt 0 ] || set -- 64:3 128:4 128:1
command -v gnuplot >/dev/null || { echo "plot: skipped, no gnuplot here" >&2; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

# One file of "tokens ns" per shape and recipe, and gnuplot's list of them.
awk -v dir="$dir" '
function field(name,    s)
{
	if (!match($0, "\"" name "\": (\"[^\"]*\"|[^,}]*)"))
		return "?"
	s = substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 4)
	gsub(/"/, "", s)
	return s
}
/^\{"op": "attend"/ {
	shape = field("head_dim") ":" field("q_heads") / field("kv_heads")
	recipe = field("recipe")
	file = dir "/" shape "@" recipe
	gsub(/[ ;]/, "_", file)
	if (!(file in known)) {
		known[file] = 1
		print file "\t" recipe >>(dir "/" shape ".list")
	}
	print field("tokens"), field("ns_per_token_head") >>file
}' "$lines"

{
	echo "set terminal svg size $((420 * $#)),380 background rgb 'white'"
	echo "set output '$out'"
	echo "set multiplot layout 1,$#"
	echo "set logscale xy; set grid; set key bottom left; set xlabel 'tokens'; set ylabel 'ns per token and KV head'"
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
