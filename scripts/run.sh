#!/usr/bin/env bash
# The main job from nothing: installs, builds, gets the test model, calibrates it for qtc on pages of doc/, and compares recipes on
# real text: a table on the screen, a plot and a page in results/. Arguments replace the default text, recipes and sizes of
# clkv-eval (see clkv-eval --help).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh
model=$(scripts/get-model.sh)
mkdir -p results
if [ $# = 0 ]; then
	build/clkv-train --model "$model" --for qtc --text doc/guide.md --text doc/recall.md --out results/qtc.cal
	set -- --text /usr/share/common-licenses/GPL-3 --context 1024 --tokens 256 --calibration results/qtc.cal \
		--recipe f16 --recipe qtc --recipe kivi:bits=4 --recipe kivi:bits=2 --recipe q:k=8,v=8 \
		--recipe q:k=4,v=4,rot=hadamard \
		--recipe kvcomp --recipe kvcomp:entropy=huffman --recipe kvcomp:rel_k=0.1,rel_v=0.1 \
		--recipe spark:keep=0.5 --recipe "think:keep=0.75 | kvcomp" \
		--recipe h2o:budget=256 --recipe zeromerge:budget=512 --recipe "kvzip:budget=512 | kivi:bits=4"
fi
build/clkv-eval --model "$model" --plot results/quality.png --html results/quality.html "$@"
echo "plot: results/quality.png; page: results/quality.html"
