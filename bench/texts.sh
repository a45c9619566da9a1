#!/bin/sh
# SPDX-License-Identifier: MIT
# Gathers texts of four kinds, from what Debian carries, for clkv-eval and bench/hull.sh.
# usage: texts.sh DIR [PROSE]     PROSE: a file of at least 4,000 tokens of prose; else the user manual of vim-runtime
#   DIR/prose.txt     PROSE, or /usr/share/vim/vim90/doc/usr_41.txt and its neighbours
#   DIR/code.txt      argparse.py of python3
#   DIR/licence.txt   the GPL, version 3
#   DIR/dialogue.txt  what was said in a channel of Debian's developers: knghtbrd of the package fortunes
set -eu
dir=${1:?usage: texts.sh DIR [PROSE]}
mkdir -p "$dir"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM
if [ $# -gt 1 ]; then
	cat "$2" >"$dir/prose.txt"
else
	cat /usr/share/vim/vim*/doc/usr_4[0-5].txt >"$dir/prose.txt"
fi
cat "$(/usr/bin/python3 -c 'import argparse; print(argparse.__file__)')" >"$dir/code.txt"
cat /usr/share/common-licenses/GPL-3 >"$dir/licence.txt"
if [ -e /usr/share/games/fortunes/knghtbrd ]; then
	cat /usr/share/games/fortunes/knghtbrd >"$dir/dialogue.txt"
else
	(cd "$tmp" && apt-get -q download fortunes >/dev/null && dpkg -x fortunes_*.deb .)
	cat "$tmp/usr/share/games/fortunes/knghtbrd" >"$dir/dialogue.txt"
fi
wc -c "$dir"/prose.txt "$dir"/code.txt "$dir"/licence.txt "$dir"/dialogue.txt
