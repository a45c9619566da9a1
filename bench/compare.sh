#!/bin/sh
# SPDX-License-Identifier: MIT
# Attention of clkv beside ggml's (llama.cpp) on the same CPU in the same run.
# usage: compare.sh CLKV-BENCH [OPTION...]
#
# ggml's libraries are taken from the folder CLKV_GGML_DIR, else from the first of the PyPI packages llama-cpp-python and
# pywhispercpp that the Python CLKV_PYTHON_EXE (default python3) has. Exits with 77 if there are none.
#   CLKV_COMPARE_TOKENS   lengths, default 512,2048,8192,32768,131072
#   CLKV_COMPARE_SHAPES   D:H:K..., default 64:8:8 64:9:3 64:32:8 64:64:8 128:8:8 128:24:8 128:32:8 128:64:8
#   CLKV_COMPARE_RECIPES  default ggml:f16 ggml:f16,tokens f16 kivi:bits=4 q:k=4,v=4
#   CLKV_COMPARE_LINES    where the JSON lines go beside the output, for plots
set -eu
bench=$1
shift
tokens=${CLKV_COMPARE_TOKENS:-512,2048,8192,32768,131072}
shapes=${CLKV_COMPARE_SHAPES:-64:8:8 64:9:3 64:32:8 64:64:8 128:8:8 128:24:8 128:32:8 128:64:8}
recipes=${CLKV_COMPARE_RECIPES:-ggml:f16 ggml:f16,tokens f16 kivi:bits=4 q:k=4,v=4}

find_ggml()
{
	"${CLKV_PYTHON_EXE:-python3}" - <<'PYTHON' 2>/dev/null || true
import glob, importlib.util, os
for module, below in (("llama_cpp", "lib"), ("_pywhispercpp", "")):
    spec = importlib.util.find_spec(module)
    if spec:
        folder = os.path.join(os.path.dirname(spec.origin), below)
        if glob.glob(os.path.join(folder, "libggml-cpu*.so*")):
            print(folder)
            break
PYTHON
}

ggml=${CLKV_GGML_DIR:-$(find_ggml)}
if [ -z "$ggml" ]; then
	echo "compare: skipped, no ggml here: pip install pywhispercpp, or set CLKV_GGML_DIR" >&2
	exit 77
fi

# Threads that wait by spinning would count as work.
case " $* " in
*" --cpu-time "*) export OMP_WAIT_POLICY=passive ;;
esac

lines=${CLKV_COMPARE_LINES:-$(mktemp)}
[ -n "${CLKV_COMPARE_LINES:-}" ] || trap 'rm -f "$lines"' EXIT
trap 'exit 1' INT TERM
asked=
for recipe in $recipes; do
	asked="$asked --recipe $recipe"
done
: >"$lines"
for shape in $shapes; do
	# shellcheck disable=SC2086
	of_shape=$("$bench" attend --ggml "$ggml" --json --tokens "$tokens" \
		--head-dim "${shape%%:*}" --q-heads "$(echo "$shape" | cut -d: -f2)" \
		--kv-heads "${shape##*:}" $asked "$@")
	printf '%s\n' "$of_shape" | tee -a "$lines"
done
awk -f "$(dirname "$0")/field.awk" -f "$(dirname "$0")/ratios.awk" "$lines"
