#!/bin/sh
# SPDX-License-Identifier: MIT
# What prefixes from a store, and contexts over ranks, would cost: tables on standard output, and a plot. A model of constants:
# what is measured where, and what is an assumption, doc/scale.md says.
# usage: scale.sh [OUT.svg] [NAME=VALUE...]
#   flops=200    TFLOP/s that a prompt is computed at        load=0.4     GB/s at which pages of a store come to the device
#   memory=2000  GB/s at which attention reads the cache     merge=4      GB/s at which parts of attention are merged
#   launch=20    microseconds of each layer's launches       prefix=2000 shared=0.5    tokens of a stored prefix, and their share
#                                                            that other prefixes have too
set -eu
here=$(dirname "$0")
out=
case ${1:-} in *.svg) out=$1; shift ;; esac
dir=
if [ -n "$out" ]; then
	command -v gnuplot >/dev/null || { echo "plot: skipped, no gnuplot here" >&2; exit 77; }
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
	trap 'exit 1' INT TERM
fi
for given in "$@"; do
	case $given in
	flops=?*|load=?*|memory=?*|merge=?*|launch=?*|prefix=?*|shared=?*) ;;
	*) echo "scale.sh: '$given' is no constant; allowed: flops, load, memory, merge, launch, prefix, shared, as NAME=VALUE" >&2; exit 2 ;;
	esac
	case ${given#*=} in *[!0-9.]*|*.*.*|.) echo "scale.sh: '$given' has no positive number" >&2; exit 2 ;; esac
done
set -- -v flops=200 -v load=0.4 -v memory=2000 -v merge=4 -v launch=20 -v prefix=2000 -v shared=0.5 \
	$(for given in "$@"; do printf -- '-v %s ' "$given"; done)
awk "$@" -v plot="$dir" -f "$here/scale.awk" </dev/null
[ -n "$out" ] || exit 0
gnuplot <<EOP
set terminal svg size 900,420 background rgb 'white'
set output '$out'
set multiplot layout 1,2
set logscale xy; set grid; set key below
set title 'a hit over 10 Gb/s, 8B model'; set xlabel 'tokens of the prefix'; set ylabel 'time, of computing it'
set format x '%.0f'; set xtics ('64' 64, '512' 512, '4k' 4096, '32k' 32768, '128k' 131072)
plot '$dir/hit1' with lines title 'f16', '$dir/hit2' with lines title 'q:k=8,v=8', '$dir/hit3' with lines title 'kivi:bits=4', \
	'$dir/hit4' with lines title 'kvcomp', '$dir/hit5' with lines title 'qtc'
set title 'attention of a row, 70B model, 100 Gb/s'; set xlabel 'ranks'; set ylabel 'ms'
set xtics (1, 2, 4, 8, 16, 32, 64, 128)
plot '$dir/ranks131072-1' with linespoints title '128k, f16', '$dir/ranks131072-5' with linespoints title '128k, qtc', \
	'$dir/ranks1048576-1' with linespoints title '1M, f16', '$dir/ranks1048576-5' with linespoints title '1M, qtc'
unset multiplot
EOP
echo "plot: $out"
