# SPDX-License-Identifier: MIT
"""Attention in double precision, as the library must compute it."""
import numpy as np


def attention(q, k, v, *, scale=None, softcap=0.0, window=0, sinks=None, offset=None):
    """q [rows][q_heads][dim], k and v [tokens][kv_heads][dim]; the rows are the newest tokens unless offset says where the first
    stands. Returns out [rows][q_heads][dim_v] and lse [rows][q_heads]."""
    q, k, v = (np.asarray(a, np.float64) for a in (q, k, v))
    rows, q_heads, dim = q.shape
    group = q_heads // k.shape[1]
    offset = k.shape[0] - rows if offset is None else offset
    logits = np.einsum("rhd,thd->rht", q, np.repeat(k, group, 1)) * (dim**-0.5 if scale is None else scale)
    if softcap:
        logits = softcap * np.tanh(logits / softcap)
    place, token = np.arange(rows)[:, None] + offset, np.arange(k.shape[0])[None, :]
    seen = (token <= place) & ((token > place - window) if window else True)
    logits = np.where(seen[:, None, :], logits, -np.inf)
    extra = np.full((rows, q_heads, 1), -np.inf) if sinks is None else np.broadcast_to(sinks[None, :, None], (rows, q_heads, 1))
    everything = np.concatenate([logits, extra], 2)
    top = everything.max(2, keepdims=True)
    total = np.exp(everything - top).sum(2, keepdims=True)
    out = np.einsum("rht,thd->rhd", np.exp(logits - top) / total, np.repeat(v, group, 1))
    return out, (top + np.log(total))[:, :, 0]


def half(array):
    """The array as a cache keeps it in half."""
    return np.asarray(array, np.float16).astype(np.float64)
