#!/usr/bin/env bash
# The main job at a short context, judged: f16 loses nothing, codecs save what they say and lose little.
set -euo pipefail
cd "$(dirname "$0")/.."
model=$(scripts/get-model.sh)
out=$(build/clkv-eval --model "$model" --text /usr/share/common-licenses/GPL-3 --context 512 \
	--tokens 64 --recipe f16 --recipe kivi:bits=4 --recipe q:k=8,v=8 --recipe kvcomp --recipe kvcomp:entropy=huffman --json)
echo "$out"
python3 - "$out" <<'EOP'
import json, sys
rows = {r["recipe"]: r for r in map(json.loads, sys.argv[1].splitlines())}
limits = {"f16": (1e-3, 1.0), "kivi:bits=4": (3.0, 1.8), "q:k=8,v=8": (1.0, 1.4),
          "kvcomp": (4.0, 3.0), "kvcomp:entropy=huffman": (4.0, 2.9)}
bad = [r for r, (loss, ratio) in limits.items()
       if not (abs(rows[r]["delta_pct"]) <= loss and rows[r]["ratio"] >= 0.99 * ratio)]
print("%d passed, %d failed" % (len(limits) - len(bad), len(bad)))
sys.exit(1 if bad else 0)
EOP
