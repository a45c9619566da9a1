#!/usr/bin/env bash
# The Python package in a virtual environment of its own, with the library of a build folder.
# usage: run-python.sh --check [OPTION...]   its tests, those of clkv.transformers with the oldest version of Transformers too; options
#                                            go to pytest (-m 'not model': without the test model). Exits with 77 and a word where
#                                            packages can't be had
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
export OMP_WAIT_POLICY=passive
export PYTHONPATH=$root/python PYTHONDONTWRITEBYTECODE=1
python=$cache/venv/bin/python
if [ -z "${CLKV_KVPRESS_PYTHON:-}" ] && [ -d "$cache/kvpress" ]; then
	export CLKV_KVPRESS_PYTHON=$cache/kvpress/bin/python # scripts/setup.sh --kvpress made it
fi
if [ "${1:-}" = --check ]; then
	shift
	CLKV_TEST_MODEL=$("$root/scripts/get-model.sh") || CLKV_TEST_MODEL=
	export CLKV_TEST_MODEL
	pytest=("$python" -X faulthandler -m pytest -q -p no:cacheprovider "$@")
	"${pytest[@]}" "$root/python/tests"
	[ -d "$cache/transformers-oldest" ] || exit 0
	echo "the oldest version of Transformers:"
	PYTHONPATH=$cache/transformers-oldest:$PYTHONPATH "${pytest[@]}" "$root/python/tests/test_transformers.py"
	exit
fi
exec "$python" "$@"
