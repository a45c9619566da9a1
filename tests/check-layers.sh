#!/bin/sh
# No file of lib/ includes or calls what lies above it or beside it: the block in doc/architecture.md says what lies where.
#   a, b <- c <- d    c may use a and b, d also c; a and b, side by side, not each other
#   a                 a, alone in its line, uses the public interface, as any program does
# What host and kernels share (.clh) is free to all.
# Calls are read from the built objects: an undefined symbol belongs to the folder whose object defines it.
set -eu
src=${srcdir:-.}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# "A B" for each pair where A may use B, and "A A"; from the block of the tree at $1
allowed() {
	awk '
		/^## / { on = $0 == "## Directions of dependency" }
		on && /^    [a-z]+$/ { all[$1] = 1 }
		on && /^    .* <- / {
			n = split($0, part, / *<- */)
			for (i = 1; i <= n; i++) {
				gsub(/ /, "", part[i])
				m = split(part[i], name, ",")
				for (j = 1; j <= m; j++) {
					all[name[j]] = 1
					for (k = 1; i > 1 && k <= before; k++)
						may[name[j], last[k]] = 1
				}
				before = m
				for (j = 1; j <= m; j++)
					last[j] = name[j]
			}
		}
		END {
			for (b in all) for (a in all) for (c in all)
				if (((a, b) in may) && ((b, c) in may))
					may[a, c] = 1
			for (a in all) for (b in all)
				if (a == b || ((a, b) in may))
					print a, b
		}' "$1/doc/architecture.md"
}

# "FOLDER FILE HEADER" for each include of the tree's own, "FOLDER FILE" for each file
includes() {
	awk '
		function place() {
			n = split(FILENAME, part, "/")
			return part[n - 1] " " part[n - 1] "/" part[n]
		}
		FNR == 1 { print place() }
		/^#include "/ { split($0, quoted, "\""); print place() " " quoted[2] }' "$1"/lib/*/*.[ch]
}

# what nm says of each source's object, behind a line "OBJECT FOLDER FILE"; sources at $1, objects at $2
symbols() {
	for file in "$1"/lib/*/*.c "$2"/lib/*/cl_sources.c; do
		folder=${file%/*}
		folder=${folder##*/}
		name=${file##*/}
		name=${name%.c}
		for object in "$2/lib/$folder/$name.o" "$2/lib/$folder/.libs/$name.o"; do
			[ ! -e "$object" ] || { echo "$object" && break; }
		done
	done >"$tmp/objects"
	xargs "${NM:-nm}" -A <"$tmp/objects" | awk '
		{
			at = index($0, ":")
			object = substr($0, 1, at - 1)
			if (object != before) {
				before = object
				sub(/\/\.libs/, "", object)
				sub(/\.o$/, "", object)
				n = split(object, part, "/")
				print "OBJECT " part[n - 1] " " part[n - 1] "/" part[n] ".c"
			}
			print substr($0, at + 1)
		}'
}

# Says what breaks the block in the tree at $1, built at $2.
check() {
	allowed "$1" >"$tmp/may"
	[ -s "$tmp/may" ] || echo "doc/architecture.md has no block of dependencies"
	includes "$1" | awk '
		NR == FNR { may[$1, $2] = 1; next }
		!(($1, $1) in may) {
			if (NF < 3)
				print $2 ": the block names no folder " $1
			next
		}
		NF < 3 || $3 ~ /\.clh$/ || $3 == "config.h" { next }
		{
			to = $3
			if (!sub(/\/.*/, "", to) || !((to, to) in may))
				print $2 " includes " $3 ", of no folder that the block names"
			else if (!(($1, to) in may))
				print $2 " includes " $3 ": " $1 " may not use " to
		}' "$tmp/may" -
	symbols "$1" "$2" >"$tmp/symbols"
	awk '
		BEGIN { pass = -1 }
		FNR == 1 { pass++ }
		pass == 0 { may[$1, $2] = 1; next }
		$1 == "OBJECT" { folder = $2; file = $3; next }
		pass == 1 && NF == 3 && $2 ~ /^[A-TV-Z]$/ { of[$3] = folder; next }
		# clkv_..., not clkv__...: the public interface is free to all who stand alone
		pass == 2 && $1 == "U" && $2 ~ /^clkv_[a-z]/ && !((folder, "base") in may) { next }
		pass == 2 && $1 == "U" && ($2 in of) && !((folder, of[$2]) in may) {
			print file " calls " $2 ": " folder " may not use " of[$2]
		}' "$tmp/may" "$tmp/symbols" "$tmp/symbols"
}

# A small tree with one of each mistake, whose objects are real ones: without them the check would prove nothing.
plant() {
	t=$tmp/tree
	mkdir -p "$t/doc" "$t/lib/base" "$t/lib/program" "$t/lib/prune" "$t/lib/attic"
	cp "$src/doc/architecture.md" "$t/doc"
	echo '#include "base/error.h"' >"$t/lib/program/build.c"
	copy_object program build "$t/lib/program/build.o"
	[ -z "$(check "$t" "$t")" ] || { echo "a tree without mistakes has some:" && check "$t" "$t" && exit 1; }
	echo '#include "program/build.h"' >"$t/lib/base/up.c"
	echo '#include "recall/recall.h"' >"$t/lib/prune/beside.h"
	echo '#include "base/error.h"' >"$t/lib/attic/unnamed.c"
	echo '#include "attic/old.h"' >"$t/lib/program/lost.c"
	: >"$t/lib/base/caller.c"
	copy_object cache context "$t/lib/base/caller.o"
	check "$t" "$t" >"$tmp/found"
	for line in 'base/up.c includes program/build.h: base may not use program' \
		'prune/beside.h includes recall/recall.h: prune may not use recall' \
		'attic/unnamed.c: the block names no folder attic' \
		'program/lost.c includes attic/old.h, of no folder that the block names' \
		'base/caller.c calls clkv__programs_free: base may not use program'; do
		grep -qxF "$line" "$tmp/found" || { echo "not found where it was planted: $line" && exit 1; }
	done
	[ "$(wc -l <"$tmp/found")" -eq 5 ] || { echo "more was found than planted:" && cat "$tmp/found" && exit 1; }
}

copy_object() {
	for object in "lib/$1/$2.o" "lib/$1/.libs/$2.o"; do
		[ ! -e "$object" ] || { cp "$object" "$3" && return; }
	done
	echo "SKIPPED: $1/$2.c wasn't built here"
	exit 77
}

plant
check "$src" . >"$tmp/found"
cat "$tmp/found"
echo "$(grep -c . "$tmp/may") pairs of folders allowed, $(grep -c '^OBJECT' "$tmp/symbols") objects," \
	"$(grep -c . "$tmp/found") mistakes" || :
[ ! -s "$tmp/found" ]
