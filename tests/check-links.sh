#!/bin/sh
# Links of pages to files beside them lead somewhere.
# Usage: check-links.sh [FOLDER]     default: the source tree's README.md and doc/
set -eu
cd "${1:-${srcdir:-.}}"
bad=0
n=0
for page in *.md doc/*.md; do
	[ -e "$page" ] || { echo "no pages '$page' in $PWD"; exit 1; }
	# what stands in ](...), without the place inside the page; addresses elsewhere are not asked
	targets=$(${AWK:-awk} '{
		while (match($0, /\]\([^)]*\)/)) {
			target = substr($0, RSTART + 2, RLENGTH - 3)
			$0 = substr($0, RSTART + RLENGTH)
			sub(/#.*/, "", target)
			if (target != "" && target !~ /^[a-z]+:/)
				print target
		}
	}' "$page")
	for target in $targets; do
		n=$((n + 1))
		[ -e "$(dirname "$page")/$target" ] || { echo "$page links to $target, which isn't there"; bad=1; }
	done
done
[ $n -gt 0 ] || { echo "no link was found"; exit 1; }
exit $bad
