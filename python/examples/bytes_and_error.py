#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bytes and error of recipes on made-up keys and values, as a plot. Cells between # %% run one by one in editors that know them.

usage: bytes_and_error.py [PLOT.png]"""
# %% Keys of which some channels are large, as models have them; values and queries without such.
import sys

import numpy as np

import clkv

TOKENS, ROWS = 1200, 32
geometry = clkv.Geometry(layers=1, q_heads=8, kv_heads=2, head_dim_k=64)
random = np.random.default_rng(7)
k = random.standard_normal((TOKENS, 2, 64), dtype=np.float32)
k[..., random.choice(64, 6, replace=False)] += 6
v = random.standard_normal((TOKENS, 2, 64), dtype=np.float32)
q = random.standard_normal((ROWS, 8, 64), dtype=np.float32)
near = random.integers(0, TOKENS, (ROWS, 2))  # each query likes one token of each KV head
q += 0.25 * np.repeat(k[near, np.arange(2)], 4, axis=1)

# %% The truth in double precision.
logits = np.einsum("rhd,thd->hrt", q.astype(np.float64), np.repeat(k, 4, axis=1)) / 8
weights = np.exp(logits - logits.max(2, keepdims=True))
weights /= weights.sum(2, keepdims=True)
truth = np.einsum("hrt,thd->rhd", weights, np.repeat(v, 4, axis=1))

# %% Each recipe: feed the prompt, then look with queries that add nothing (probes).
context = clkv.Context()
recipes = ["f16", "q:k=8,v=8", "q:k=4,v=4", "kivi:bits=4", "kivi:bits=3", "kivi:bits=2", "kvcomp"]
bytes_of, error_of = {}, {}
for recipe in recipes:
    with context.cache(geometry, recipe + " ; window=0", max_tokens=2048, max_step_tokens=TOKENS) as cache:
        with cache.sequence() as sequence:
            with cache.step([(sequence, TOKENS, "prompt_end")]) as step:
                step.append(0, k, v)
            with cache.step([(sequence, ROWS, "probe")]) as step:
                out = step.attend(0, q)
            bytes_of[recipe] = cache.nbytes / TOKENS
            error_of[recipe] = np.linalg.norm(out - truth) / np.linalg.norm(truth)
    print(f"{recipe:<24} {bytes_of[recipe]:7.1f} bytes per token, error {error_of[recipe]:.5f}")

# %% The plot.
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
axes.scatter(list(bytes_of.values()), list(error_of.values()))
for recipe in recipes:
    axes.annotate(recipe, (bytes_of[recipe], error_of[recipe]), xytext=(5, 5), textcoords="offset points", fontsize=8)
axes.set(xlabel="bytes per token", ylabel="relative error of attention", yscale="log")
axes.margins(0.15)
axes.grid(alpha=0.3)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "bytes_and_error.png")
