#!/bin/sh
# SPDX-License-Identifier: MIT
# The default set of benchmarks: JSON lines, then a table of ratios. Usage: default.sh CLKV-BENCH [OPTION...]
set -eu
bench=$1
shift
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT INT TERM
recipes='--recipe f16 --recipe kivi:bits=4 --recipe kivi:bits=2 --recipe q:k=8,v=8'
small='--head-dim 64 --q-heads 9 --kv-heads 3'
large='--head-dim 128 --q-heads 32 --kv-heads 8'

run()
{
	"$bench" "$@" --json > "$lines.one" || { rm -f "$lines.one"; exit 1; }
	cat "$lines.one"
	cat "$lines.one" >> "$lines"
	rm -f "$lines.one"
}

# shellcheck disable=SC2086
{
	run attend $small $recipes --tokens 8192 "$@"
	run attend $large $recipes --tokens 8192 "$@"
	run prefill $small $recipes --tokens 4096 --rows 512 "$@"
	run append $small $recipes --tokens 8192 --rows 512 "$@"
}

awk '
function field(name,    s) {
	if (!match($0, "\"" name "\": (\"[^\"]*\"|[^,}]*)"))
		return "?"
	s = substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 4)
	gsub(/"/, "", s)
	return s
}
NR == 1 {
	print ""
	print "device: " field("device")
	print "to f16: time of f16 / time; of limit: time that the limit allows / time"
	printf "%-8s %-14s %4s %7s %5s %10s %7s %8s  %s\n", "op", "recipe", "D", "tokens", "rows", "us",
	       "to f16", "of limit", "limit"
}
{
	time = field("time_us")
	problem = field("op") " " field("head_dim") " " field("tokens") " " field("rows")
	if (field("recipe") == "f16")
		f16[problem] = time
	printf "%-8s %-14s %4d %7d %5d %10.1f %6.2fx %7.0f%%  %s\n", field("op"), field("recipe"),
	       field("head_dim"), field("tokens"), field("rows"), time, f16[problem] / time,
	       100 * field("limit_share"), field("limit")
}' "$lines"
