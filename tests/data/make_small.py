#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Cuts a small piece out of the large test data and computes, with NumPy, what must come of it.

    python3 make_small.py ../../../shared/data/kv     (in this directory)

K, V and queries come from SmolLM2-135M-Instruct (HuggingFaceTB, Apache-2.0) reading the GNU General
Public License version 3: layer 14, key head 1, tokens 0 .. 159, and the last 4 queries of its 3 query
heads. Expected outputs: every query attends to all 160 tokens; dense, and with tokens 0 .. 127 in
integer codes of 4 and 2 bits (K per channel, V per token, groups of 32, scale and minimum in half)."""

import sys
import numpy as np

TOKENS, SEALED, GROUP = 160, 128, 32


def codes(x, bits):
    """x [units][group] of half values: decoded from minimum + scale * code."""
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    scale = ((high - low) / (2**bits - 1)).astype(np.float16).astype(np.float64)
    safe = np.where(scale > 0, scale, 1)
    code = np.clip(np.rint((x - low) / safe), 0, 2**bits - 1)
    return np.where(scale > 0, low + scale * code, low)


def kivi(k, v, bits):
    k, v = k.copy(), v.copy()
    for t in range(0, SEALED, GROUP):
        k[t : t + GROUP] = codes(k[t : t + GROUP].T, bits).T
    v[:SEALED] = codes(v[:SEALED].reshape(-1, GROUP), bits).reshape(SEALED, -1)
    return k, v


def attend(q, k, v):
    logits = q @ k.T / np.sqrt(k.shape[1])
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (p / p.sum(axis=-1, keepdims=True)) @ v


def main():
    folder = sys.argv[1]
    k = np.load(folder + "/gpl3_k.npy")[1, 1, :TOKENS]
    v = np.load(folder + "/gpl3_v.npy")[1, 1, :TOKENS]
    q = np.load(folder + "/gpl3_q.npy")[1, 3:6, -4:]
    np.save("small_k.npy", k)
    np.save("small_v.npy", v)
    np.save("small_q.npy", q)
    k, v, q = (x.astype(np.float64) for x in (k, v, q))
    np.save("small_dense.npy", attend(q, k, v))
    np.save("small_kivi4.npy", attend(q, *kivi(k, v, 4)))
    np.save("small_kivi2.npy", attend(q, *kivi(k, v, 2)))


main()
