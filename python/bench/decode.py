#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a token costs through clkv.transformers: beside SDPA on the stock cache, and beside the library's calls alone.

usage: OMP_WAIT_POLICY=passive python decode.py [--depth N] [--recipe R] [--repeats N]

The model has SmolLM2-135M's shape (30 layers of 9 query heads on 3 KV heads of 64) and random weights. What is compared runs in turns, a
token each, so that load of other programs meets all alike. Of each: the median and the least of the wall clock, and of the
processor time: all threads' for models, the calling thread's for the binding, as the device's threads do the same in both. Where the
binding is measured there is a pause of busy waiting in front of each layer, as a model's products are: else the device's threads,
which go to sleep meanwhile, would cost only one of the two their waking."""
import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
import transformers

import clkv.transformers
from clkv import _library
from clkv._library import ffi
from clkv.step import _LayerCalls

PAUSE = 1e-4  # seconds of processor time
LAYERS, Q_HEADS, KV_HEADS, DIM = 30, 9, 3, 64


def config():
    return transformers.LlamaConfig(
        vocab_size=49152, hidden_size=Q_HEADS * DIM, intermediate_size=1536, num_hidden_layers=LAYERS, num_attention_heads=Q_HEADS,
        num_key_value_heads=KV_HEADS, head_dim=DIM, max_position_embeddings=32768, tie_word_embeddings=True)


def in_turns(functions, clock, repeats):
    """Wall clock and `clock` of each function, milliseconds: {name: ((median, least), (median, least))}."""
    taken = {name: ([], []) for name in functions}
    for i in range(repeats + 3):
        for name, function in functions.items():
            wall, processor = time.perf_counter(), clock()
            function()
            if i >= 3:
                taken[name][0].append(1e3 * (time.perf_counter() - wall))
                taken[name][1].append(1e3 * (clock() - processor))
    return {name: tuple((statistics.median(x), min(x)) for x in both) for name, both in taken.items()}


def report(title, results):
    print(f"{title:<44} {'wall ms':>10} {'least':>8} {'processor ms':>14} {'least':>8}")
    for name, (wall, processor) in results.items():
        print(f"  {name:<42} {wall[0]:10.2f} {wall[1]:8.2f} {processor[0]:14.2f} {processor[1]:8.2f}")


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


def pause():
    end = time.thread_time() + PAUSE
    while time.thread_time() < end:
        pass


def binding(recipe, depth, repeats):
    """A function for a token's attention through the binding, and one for the same calls of the library, prepared ahead."""
    cache = clkv.transformers.ClkvCache(config(), recipe, max_tokens=depth + 4 * repeats + 512)
    module = torch.nn.Module()

    def forward(tokens):
        for layer in range(LAYERS):
            pause()
            q, k, v = (torch_rows[heads, tokens] for heads in (Q_HEADS, KV_HEADS, KV_HEADS))
            k, v = cache.update(k, v, layer)
            clkv.transformers.attention_forward(module, q, k, v, None, scaling=DIM**-0.5)

    torch_rows = {(h, n): torch.randn(1, n, h, DIM).transpose(1, 2) for h in (Q_HEADS, KV_HEADS) for n in (1, min(depth, 512))}
    for _ in range(0, depth, 512):
        forward(min(depth, 512))

    def bound():
        forward(1)
        cache._state.settle()

    bound()
    return bound, bare(cache, torch_rows)


def bare(cache, torch_rows):
    """A token's calls with nothing round them."""
    lib, calls, inner = _library.load(), _LayerCalls(), cache.cache
    k, q, out = torch_rows[KV_HEADS, 1], torch_rows[Q_HEADS, 1], torch.empty(1, 1, Q_HEADS, DIM)
    packed = [(0, heads * DIM, DIM) for heads in (KV_HEADS, KV_HEADS, Q_HEADS, Q_HEADS)]
    calls.fill(packed, (k.data_ptr(), k.data_ptr(), q.data_ptr(), out.data_ptr()))
    sequence = cache.sequences[0]
    items, first = ffi.new("clkv_step_item[]", [(sequence._pointer, 1, 0)]), ffi.new("size_t[]", [0])
    step, queue = ffi.new("clkv_step **"), inner.context._queue_of(None)

    def run(held=(k, q, out, sequence, inner)):
        failed = lib.clkv_step_begin_rows(inner._pointer, items, first, 1, queue, step, calls.error)
        for layer in range(LAYERS):
            pause()
            failed |= lib.clkv_step_append(step[0], layer, calls.k, calls.v, 0, ffi.NULL, ffi.NULL, calls.error)
            failed |= lib.clkv_step_attend(step[0], layer, calls.args, 0, ffi.NULL, calls.event, calls.error)
            failed |= lib.clWaitForEvents(1, calls.event)
            lib.clReleaseEvent(calls.event[0])
        failed |= lib.clkv_step_commit(step[0], ffi.NULL, calls.error)
        assert not failed, ffi.string(calls.error.text)

    return run


def crossing():
    """As many calls as a token needs that return at once: what Python takes to call C at all."""
    lib, calls = _library.load(), _LayerCalls()
    for _ in range(4 * LAYERS):
        lib.clkv_step_append(ffi.NULL, 0, calls.k, calls.v, 0, ffi.NULL, ffi.NULL, calls.error)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=2048, help="tokens in the cache (%(default)s)")
    parser.add_argument("--recipe", default="f16")
    parser.add_argument("--repeats", type=int, default=50, help="tokens that are timed (%(default)s)")
    options = parser.parse_args()
    clkv.transformers.register()
    torch.manual_seed(0)
    bound, alone = binding(options.recipe, options.depth, options.repeats)
    found = in_turns({"binding": bound, "library's calls alone": alone, "calls that do nothing": crossing}, time.thread_time, options.repeats)
    report(f"30 layers of attention, {options.depth} tokens, {options.recipe}", found)
    for i, name in enumerate(("wall", "processor")):
        for j, kind in enumerate(("median", "least")):
            extra = found["binding"][i][j] - found["library's calls alone"][i][j] + found["calls that do nothing"][i][j]
            print(f"  the binding's own time, {name}, {kind}: {extra:.2f} ms")
    model = transformers.LlamaForCausalLM(config()).eval()
    ours = clkv.transformers.ClkvCache(model.config, options.recipe, max_tokens=options.depth + options.repeats + 8)
    found = in_turns({"sdpa, DynamicCache": decoding(model, "sdpa", transformers.DynamicCache(), options.depth),
                      f"clkv, {options.recipe}": decoding(model, "clkv", ours, options.depth)}, time.process_time, options.repeats)
    report(f"a token of the model, {options.depth} tokens", found)
    stock, mine = found.values()
    print("  clkv / sdpa: " + ", ".join(f"{name} {mine[i][0] / stock[i][0]:.2f} (least {mine[i][1] / stock[i][1]:.2f})"
                                        for i, name in enumerate(("wall", "processor"))))


if __name__ == "__main__":
    main()
