# SPDX-License-Identifier: MIT
"""Times PyTorch's scaled_dot_product_attention, one new row over N tokens: a JSON line per length as clkv-bench prints.

K and V are halves, [1][kv_heads][tokens][head_dim], queries of a group share them (enable_gqa). On a GPU its own events are the clock.
As many layers as overflow the caches take turns."""
import argparse
import json
import statistics
import sys
import time

import torch
from torch.nn.functional import scaled_dot_product_attention

ROUND_BYTES = 256 << 20  # beyond the caches of GPUs
SAMPLES = 15


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--tokens", default="8192", help="N,N,...")
    p.add_argument("--head-dim", type=int, default=64)
    p.add_argument("--q-heads", type=int, default=9)
    p.add_argument("--kv-heads", type=int, default=3)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return p.parse_args()


def timed(device, call):
    """Seconds."""
    if device != "cuda":
        begun = time.perf_counter()
        call()
        return time.perf_counter() - begun
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1e3


def measure(a, tokens):
    of_layer = 2 * 2 * a.kv_heads * tokens * a.head_dim
    layers = max(1, min(256, ROUND_BYTES // of_layer + 1))
    kv = [[torch.randn(1, a.kv_heads, tokens, a.head_dim, device=a.device, dtype=torch.float16) for _ in range(2)] for _ in range(layers)]
    q = torch.randn(1, a.q_heads, 1, a.head_dim, device=a.device, dtype=torch.float16)

    def round_of_layers():
        for k, v in kv:
            scaled_dot_product_attention(q, k, v, enable_gqa=a.q_heads != a.kv_heads)

    with torch.inference_mode():
        round_of_layers()
        us = [1e6 * timed(a.device, round_of_layers) / layers for _ in range(SAMPLES)]
    median = statistics.median(us)
    print(json.dumps({"op": "attend", "recipe": "torch:f16", "tokens": tokens, "head_dim": a.head_dim, "q_heads": a.q_heads,
                      "kv_heads": a.kv_heads, "batch": 1, "rows": 1, "device": f"torch {torch.__version__} {a.device}",
                      "time_us": round(median, 3), "fastest_us": round(min(us), 3),
                      "ns_per_token_head": round(1e3 * median / tokens / a.kv_heads, 3),
                      "gbps_compressed": round(of_layer / median / 1e3, 3)}), flush=True)


def main():
    a = arguments()
    for tokens in a.tokens.split(","):
        try:
            measure(a, int(tokens))
        except (RuntimeError, torch.OutOfMemoryError) as error:
            print(f"torch_attend: {tokens} tokens are left out: {str(error).splitlines()[0]}", file=sys.stderr)


main()
