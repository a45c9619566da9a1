#!/bin/sh
# What the Python package is told of the library is what the headers say.
set -eu
srcdir=${srcdir:-.}
command -v python3 >/dev/null || { echo "SKIPPED: no python3 here"; exit 77; }
exec python3 "$srcdir/python/make_declarations.py" --check "$srcdir/include"
