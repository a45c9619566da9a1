#!/bin/sh
# SPDX-License-Identifier: MIT
# What the first start of a recipe costs: programs built and seconds of processor time, with nothing kept from before.
# usage: cold-start.sh COLD-START [--against BUILD] [--rows N] [--device D] [RECIPE...]
#
# COLD-START is the program that `make bench/cold-start` builds. Of each recipe: up to the end of clkv_cache_create, of
# the first step (a prompt of N rows, 64 unless said), and of the row after it. With --against the same with the library
# of another build of clkv, in turns, and their ratio. The shape is SmolLM2's: 30 layers, 9 query heads, 3 KV heads, D 64.
set -eu
program=$1
shift
against='' rows=64 device=''
while [ $# -gt 0 ]; do
	case $1 in
	--against) against=$2; shift 2 ;;
	--rows) rows=$2; shift 2 ;;
	--device) device=$2; shift 2 ;;
	--*) echo "cold-start.sh: no option $1" >&2; exit 2 ;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || set -- f16 kivi:bits=4 kvcomp zeromerge:budget=512 clusterkv:recall=1024

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

# LIBRARY RECIPE: seconds and programs, three times two numbers.
start()
{
	rm -rf "$dir/pocl" "$dir/clkv"
	mkdir -m 700 "$dir/pocl" "$dir/clkv"
	LD_PRELOAD=$1 POCL_CACHE_DIR=$dir/pocl CLKV_CACHE_DIR=$dir/clkv CUDA_CACHE_DISABLE=1 \
		NEO_CACHE_PERSISTENT=0 "$program" "$2" "$rows" ${device:+"$device"} 2>"$dir/err" ||
		{ cat "$dir/err" >&2; exit 1; }
}

library=$against/lib/.libs/libclkv.so
if [ -n "$against" ] && [ ! -e "$library" ]; then
	echo "cold-start.sh: there is no $library" >&2
	exit 2
fi
printf '%-24s %-7s %17s %17s %17s\n' recipe build 'created: s prog.' 'prompt: s prog.' 'row: s prog.'
for recipe; do
	line=$(start '' "$recipe")
	# shellcheck disable=SC2086
	printf '%-24s %-7s %10s %6s %10s %6s %10s %6s\n' "$recipe" this $line
	[ -n "$against" ] || continue
	other=$(start "$library" "$recipe")
	# shellcheck disable=SC2086
	printf '%-24s %-7s %10s %6s %10s %6s %10s %6s\n' "$recipe" other $other
	echo "$line $other" | awk -v recipe="$recipe" '{
		printf "%-24s %-7s", recipe, "ratio"
		for (i = 1; i <= 6; i++)
			printf(i % 2 ? " %10.2f" : " %6.2f", $(i + 6) > 0 ? $i / $(i + 6) : 0)
		print "" }'
done
