#!/usr/bin/env bash
# The Python package in a virtual environment of its own, with the library of a build folder.
# usage: run-python.sh --check [OPTION...]   its tests; options go to pytest. Exits with 77 and a word where packages can't be had
#        run-python.sh ARGUMENT...           the environment's python with these arguments, as in: run-python.sh -m clkv.evaluate
#
#   CLKV_BUILD    a build folder of clkv; default build
#   CLKV_PYTHON   where the environment is kept; default ~/.cache/clkv-python
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${CLKV_BUILD:-$root/build}" 2>/dev/null && pwd) || build=
cache=${CLKV_PYTHON:-${XDG_CACHE_HOME:-$HOME/.cache}/clkv-python}

skip()
{
	echo "run-python.sh: SKIPPED, $1"
	exit 77
}

[ -n "$build" ] && [ -f "$build/Makefile" ] || skip "no build of clkv: scripts/build.sh makes one"
"$root/scripts/setup.sh" --python >&2 || skip "the Python packages can't be had"
make -s -C "$build" lib/libclkv.la
export CLKV_LIBRARY=$build/lib/.libs/libclkv.so
export PYTHONPATH=$root/python PYTHONDONTWRITEBYTECODE=1
python=$cache/venv/bin/python
if [ "${1:-}" = --check ]; then
	shift
	exec "$python" -X faulthandler -m pytest -q -p no:cacheprovider "$@" "$root/python/tests"
fi
exec "$python" "$@"
