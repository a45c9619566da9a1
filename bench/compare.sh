#!/bin/sh
# SPDX-License-Identifier: MIT
# Attention of clkv beside ggml's (llama.cpp) on the same CPU in the same run.
# usage: compare.sh CLKV-BENCH [OPTION...]
#
# The libraries libggml-base.so and libggml-cpu.so are taken from the folder CLKV_GGML_DIR, else from the
# PyPI package llama-cpp-python of python3. Exits with 77 if there are none.
#   CLKV_COMPARE_TOKENS  lengths, default 512,2048,8192,32768,131072
#   CLKV_COMPARE_SHAPES  D:H:K..., default 64:8:8 64:9:3 64:32:8 64:64:8 128:8:8 128:24:8 128:32:8 128:64:8
set -eu
bench=$1
shift
tokens=${CLKV_COMPARE_TOKENS:-512,2048,8192,32768,131072}
shapes=${CLKV_COMPARE_SHAPES:-64:8:8 64:9:3 64:32:8 64:64:8 128:8:8 128:24:8 128:32:8 128:64:8}

find_ggml()
{
	python3 -c '
import importlib.util
spec = importlib.util.find_spec("llama_cpp")
print(spec.submodule_search_locations[0] + "/lib" if spec else "")' 2>/dev/null || true
}

ggml=${CLKV_GGML_DIR:-$(find_ggml)}
if [ -z "$ggml" ] || [ ! -e "$ggml/libggml-base.so" ] || [ ! -e "$ggml/libggml-cpu.so" ]; then
	echo "compare: skipped, no ggml here: pip install llama-cpp-python, or set CLKV_GGML_DIR" >&2
	exit 77
fi

# Threads that wait by spinning would count as work.
case " $* " in
*" --cpu-time "*) export OMP_WAIT_POLICY=passive ;;
esac

lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
trap 'exit 1' INT TERM
for shape in $shapes; do
	of_shape=$("$bench" attend --ggml "$ggml" --json --tokens "$tokens" \
		--head-dim "${shape%%:*}" --q-heads "$(echo "$shape" | cut -d: -f2)" \
		--kv-heads "${shape##*:}" --recipe ggml:f16 --recipe ggml:f16,tokens --recipe f16 \
		--recipe kivi:bits=4 --recipe q:k=4,v=4 "$@")
	printf '%s\n' "$of_shape" | tee -a "$lines"
done
awk -f "$(dirname "$0")/field.awk" -f "$(dirname "$0")/ratios.awk" "$lines"
