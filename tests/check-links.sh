#!/bin/sh
# Links of pages to files beside them lead somewhere.
# Usage: check-links.sh [FOLDER]     default: the source tree's README.md and doc/
set -eu
cd "${1:-${srcdir:-.}}"
bad=0
n=0
for page in *.md doc/*.md; do
	[ -e "$page" ] || { echo "no pages '$page' in $PWD"; exit 1; }
	for target in $(sed -n 's/](/\n](/g; s/$/\n/; p' "$page" | sed -n 's/^](\([^)# ]*\)[^)]*).*/\1/p'); do
		case $target in *://* | mailto:*) continue ;; esac
		n=$((n + 1))
		[ -e "$(dirname "$page")/$target" ] || { echo "$page links to $target, which isn't there"; bad=1; }
	done
done
[ $n -gt 0 ] || { echo "no link was found"; exit 1; }
exit $bad
