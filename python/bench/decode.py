#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a token costs through clkv.transformers, beside SDPA on the stock cache. What the binding adds to it: binding.py.

usage: OMP_WAIT_POLICY=passive python decode.py [--depth N] [--recipe R] [--repeats N]

The model has SmolLM2-135M's shape and random weights. Both caches take a token in turns. Three clocks: the wall's, the calling thread's
processor time, and that of all threads, the device's too."""
import argparse
import statistics

import turns  # sets what must be set before torch comes

import torch
import transformers

import clkv.transformers


def decoding(model, attention, cache, depth):
    """A function that decodes a token behind `depth` tokens, which are in the cache when this returns."""
    name, ids = clkv.transformers.cache_name(model), torch.randint(0, 49152, (1, depth))

    def forward(tokens):
        model.set_attn_implementation(attention)
        with torch.inference_mode():
            model(tokens, use_cache=True, logits_to_keep=1, **{name: cache})

    for start in range(0, depth, 512):
        forward(ids[:, start:start + 512])
    return lambda: forward(ids[:, :1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=2048, help="tokens in the cache (%(default)s)")
    parser.add_argument("--recipe", default="f16")
    parser.add_argument("--repeats", type=int, default=50, help="tokens that are timed (%(default)s)")
    options = parser.parse_args()
    clkv.transformers.register()
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(turns.config()).eval()
    ours = clkv.transformers.ClkvCache(model.config, options.recipe, max_tokens=options.depth + options.repeats + 8)
    taken = turns.in_turns({"sdpa, DynamicCache": decoding(model, "sdpa", transformers.DynamicCache(), options.depth),
                            f"clkv, {options.recipe}": decoding(model, "clkv", ours, options.depth)}, options.repeats)
    turns.report(f"a token of the model, {options.depth} tokens", taken)
    stock, mine = taken.values()
    print("  clkv / sdpa, medians: " + ", ".join(
        f"{clock} {statistics.median(mine[clock]) / statistics.median(stock[clock]):.2f}" for clock in ("wall", "process")))


if __name__ == "__main__":
    main()
