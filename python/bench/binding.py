#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the Python binding adds to a token: the same step through clkv.transformers and through calls of the library, prepared ahead.

usage: OMP_WAIT_POLICY=passive python binding.py [--depth N] [--recipe R] [--repeats N] [--rows N]

A model of SmolLM2-135M's heads and layers (30 layers, 9 query heads on 3 KV heads of 64) whose other matrices are tiny decodes a token in
five ways, in turns:

  plumbing   attention and a cache that do nothing: what any cache pays, to Transformers and to torch
  calls      the same, and in each layer the library's calls with pointers that were prepared before: begin, 30 times append, attend, the
             wait for it, commit
  clkv       attn_implementation="clkv" with a ClkvCache
  arrays     as calls, through clkv.Step with NumPy arrays in place of the binding of Transformers
  stock      SDPA on DynamicCache, for comparison

and 120 calls of C that return at once (crossing). The library's own time is calls - plumbing. The binding's is clkv - calls, of the same
turn, and crossing, as the prepared calls too pass from Python to C. Three clocks: the wall's, the calling thread's processor time, and
that of all threads, the device's too."""
import argparse

import turns  # sets what must be set before torch comes
from turns import DIM, KV_HEADS, LAYERS, Q_HEADS

import numpy as np
import torch
import transformers
from transformers.cache_utils import Cache, CacheLayerMixin
from transformers.masking_utils import AttentionMaskInterface

import clkv.transformers
from clkv import _library
from clkv._library import ffi
from clkv.step import _Calls

WAYS = ("plumbing", "calls", "arrays", "clkv", "stock")


class NoLayer(CacheLayerMixin):
    """A layer that keeps nothing."""

    is_compileable = is_sliding = False

    def __init__(self, cache):
        self.keys = self.values = None
        self.is_initialized, self.cache = True, cache

    def lazy_initialization(self, *arguments, **others):
        pass

    def update(self, keys, values, *arguments, **others):
        return keys, values

    def get_mask_sizes(self, query_length, *arguments):
        return self.cache.seen + 1, 0

    def get_seq_length(self, *arguments):
        return self.cache.seen

    def get_max_length(self):
        return -1

    get_max_cache_shape = get_max_length


class NoCache(Cache):
    """A cache that counts tokens and keeps none."""

    def __init__(self, seen):
        self.seen = seen
        self.layers = [NoLayer(self) for _ in range(LAYERS)]
        self.layer_class_to_replicate, self.offloading = None, False

    def update(self, keys, values, layer, *arguments, **others):
        return keys, values


class Prepared:
    """A token's step by calls of the library, with nothing round them."""

    def __init__(self, cache, rows):
        self.lib, self.calls, self.inner = _library.load(), _Calls(), cache.cache
        self.tensors = [torch.randn(rows, 1, heads, DIM) for heads in (KV_HEADS, KV_HEADS, Q_HEADS, Q_HEADS)]
        packed = tuple((0, heads * DIM, DIM) for heads in (KV_HEADS, KV_HEADS, Q_HEADS, Q_HEADS))
        self.calls.fill(packed, tuple(x.data_ptr() for x in self.tensors))
        self.sequences = cache.sequences
        self.items = ffi.new("clkv_step_item[]", [(s._pointer, 1, 0) for s in self.sequences])
        self.first = ffi.new("size_t[]", list(range(rows)))
        self.step, self.queue = ffi.new("clkv_step **"), self.inner.context._queue_of(None)

    def layer(self, index):
        lib, calls, failed = self.lib, self.calls, 0
        if index == 0:
            failed = lib.clkv_step_begin_rows(self.inner._pointer, self.items, self.first, len(self.items), self.queue, self.step,
                                              calls.error)
        step = self.step[0]
        failed |= lib.clkv_step_append(step, index, calls.k.tensor, calls.v.tensor, 0, ffi.NULL, ffi.NULL, calls.error)
        failed |= lib.clkv_step_attend(step, index, calls.attend, 0, ffi.NULL, calls.event, calls.error)
        failed |= lib.clWaitForEvents(1, calls.event)
        lib.clReleaseEvent(calls.event[0])
        if index == LAYERS - 1:
            failed |= lib.clkv_step_commit(step, ffi.NULL, calls.error)
        assert not failed, ffi.string(calls.error.text)

    def crossing(self):
        """As many calls as a token needs that return at once: what Python takes to call C at all."""
        calls = self.calls
        for _ in range(4 * LAYERS):
            self.lib.clkv_step_append(ffi.NULL, 0, calls.k.tensor, calls.v.tensor, 0, ffi.NULL, ffi.NULL, calls.error)


class Arrays:
    """A token's step by clkv.Step, with arrays that were made before."""

    def __init__(self, cache, rows):
        self.inner, self.items = cache.cache, [(s, 1) for s in cache.sequences]
        self.q, self.k, self.v, self.out = (np.ones((rows, heads, DIM), np.float32) for heads in (Q_HEADS, KV_HEADS, KV_HEADS, Q_HEADS))

    def layer(self, index):
        if index == 0:
            self.step = self.inner.step(self.items)
        self.step.append(index, self.k, self.v, wait=False)
        self.step.attend(index, self.q, self.out)
        if index == LAYERS - 1:
            self.step.commit()


def attentions(prepared, arrays, rows):
    """Makes the attention functions of the ways that aren't there yet known."""
    out = torch.zeros(rows, 1, Q_HEADS, DIM)

    def plumbing(module, query, key, value, mask, **others):
        return out, None

    def calls(module, query, key, value, mask, **others):
        prepared.layer(module.layer_idx)
        return out, None

    def through_arrays(module, query, key, value, mask, **others):
        arrays.layer(module.layer_idx)
        return out, None

    for name, function in (("plumbing", plumbing), ("calls", calls), ("arrays", through_arrays)):
        transformers.AttentionInterface.register(name, function)
        AttentionMaskInterface.register(name, lambda *arguments, **others: None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=512, help="tokens in the cache (%(default)s)")
    parser.add_argument("--rows", type=int, default=1, help="rows of the batch (%(default)s)")
    parser.add_argument("--recipe", default="f16")
    parser.add_argument("--repeats", type=int, default=200, help="tokens that are timed (%(default)s)")
    options = parser.parse_args()
    clkv.transformers.register()
    torch.manual_seed(0)
    shape = turns.config(vocab_size=64, hidden_size=72, intermediate_size=64)
    model = transformers.LlamaForCausalLM(shape).eval()
    ours = clkv.transformers.ClkvCache(shape, options.recipe,
                                       max_tokens=options.rows * (options.depth + 4 * (options.repeats + turns.WARM) + 512))
    caches = {"clkv": ours, "stock": transformers.DynamicCache(), "plumbing": NoCache(options.depth)}
    name, ids = clkv.transformers.cache_name(model), torch.randint(0, 64, (options.rows, options.depth))

    def attention(way):
        model.set_attn_implementation("sdpa" if way == "stock" else way)

    def forward(way, tokens):
        with torch.inference_mode():
            model(tokens, use_cache=True, logits_to_keep=1, **{name: caches.get(way, caches["plumbing"])})

    for way in ("clkv", "stock"):
        attention(way)
        for start in range(0, options.depth, 512):
            forward(way, ids[:, start:start + 512])
    forward_one = {way: (lambda way=way: forward(way, ids[:, :1])) for way in WAYS}
    prepared, arrays = Prepared(ours, options.rows), Arrays(ours, options.rows)
    attentions(prepared, arrays, options.rows)

    def clkv_token():
        forward_one["clkv"]()
        ours._state.settle()

    functions = {**forward_one, "clkv": clkv_token, "crossing": prepared.crossing}
    taken = turns.in_turns(functions, options.repeats, lambda way: attention(way) if way in WAYS else None)
    turns.report(f"a token of {options.rows} rows behind {options.depth}, {options.recipe}", taken)
    print(f"  {'per token, medians of turns (quartiles)':<46}" + "".join(f" {clock:>20}" for clock in turns.CLOCKS))
    for title, more, less, way in (("the library's own time", "calls", "plumbing", 0), ("the binding of Transformers", "clkv", "calls", 1),
                                   ("the binding of arrays", "arrays", "calls", 1), ("what any cache pays", "plumbing", None, 0)):
        line = ""
        for clock in turns.CLOCKS:
            base = min(taken["crossing"][clock]) if way else 0.0
            low, middle, high = turns.differences(taken, more, less)[clock] if less else (
                sorted(taken[more][clock])[len(taken[more][clock]) * i // 4] for i in (1, 2, 3))
            line += f" {middle + base:7.2f} ({low + base:.2f}-{high + base:.2f})".rjust(21)
        print(f"  {title:<46}{line}")


if __name__ == "__main__":
    main()
