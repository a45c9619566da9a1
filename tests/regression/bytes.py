#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes bytes.csv from the formula: bytes of a sealed token, all layers, with its table entry.

A fifth number of a side is a share of channels, a multiple of 4 of them, that have 2 bits more: 2 BT bits of a plane each, and
a byte in a list padded to 16. A sixth is a share of values that are outliers, 4 bytes each.

A side of a block of BT tokens and D channels holds scales (2 bytes), minimums (2 bytes, unless
symmetric), padded to 16 bytes, then BT * D * bits / 8 bytes of codes, padded to 16. A block is padded to
64 bytes; its table entry takes 16. A layer in half takes 2 (DK + DV) bytes and 4 per block.

Recall adds the index of a segment of 4096 tokens, for each of them: what stands for a unit (a centroid, or two bounds of
a page, in half; nothing for codes, whose book belongs to the sequence), the end of its list and the tokens in it, 2
bytes each. A block without a codec is in half, padded, with an entry."""

import math

SHAPES = [(30, 9, 3, 64, 64), (32, 32, 8, 128, 128), (1, 4, 4, 80, 80), (2, 3, 1, 192, 128)]
# recipe, block, skip, K, V; a side: bits, scale per "channel" or "token", group, symmetric
RECIPES = [
    ("f16", 64, None, None, None),
    ("kivi:bits=2", 64, 0, (2, "channel", 32, 0), (2, "token", 32, 0)),
    ("kivi:bits=4", 64, 0, (4, "channel", 32, 0), (4, "token", 32, 0)),
    ("kivi:k=4,v=2,group=64", 64, 0, (4, "channel", 64, 0), (2, "token", 64, 0)),
    ("kivi:bits=3,group=128 ; block=128", 128, 0, (3, "channel", 128, 0), (3, "token", 128, 0)),
    ("kivi:bits=4 ; skip=1,block=32", 32, 1, (4, "channel", 32, 0), (4, "token", 32, 0)),
    ("q:k=8,v=4", 64, 0, (8, "token", 32, 0), (4, "token", 32, 0)),
    ("q:k=5,v=6,group=16", 64, 0, (5, "token", 16, 0), (6, "token", 16, 0)),
    ("q:k=4,v=4,sym=1,rot=hadamard", 64, 0, (4, "token", 32, 1), (4, "token", 32, 1)),
    ("q:k=4,v=4,rot=file", 64, 0, (4, "token", 32, 0), (4, "token", 32, 0)),
    ("q:k=16,v=2,axis_v=channel", 64, 0, (16, "token", 32, 0), (2, "channel", 32, 0)),
    ("kitty", 64, 0, (2, "channel", 32, 0, 0.1), (2, "token", 32, 0)),
    ("kitty:boost=0.25,group=64", 64, 0, (2, "channel", 64, 0, 0.25), (2, "token", 64, 0)),
    ("kvquant", 64, 0, (3, "channel", 64, 0, 0, 0.01), (3, "token", 64, 0, 0, 0.01)),
    ("kvquant:k=4,v=2,outliers=0.05", 64, 0, (4, "channel", 64, 0, 0, 0.05), (2, "token", 64, 0, 0, 0.05)),
]


# recipe, codec of K and V, index: channels per unit in half, units, lists
RECALL = [
    ("topk", None, (0, 0, 0)),
    ("pages", None, (2, 256, 0)),
    ("pages:page=4", None, (2, 1024, 0)),
    ("clusterkv", None, (1, 256, 1)),
    ("a2ats", None, (0, 256, 1)),
    ("a2ats:codes=1024", None, (0, 1024, 1)),
    ("kivi:bits=4 | clusterkv:per=20", RECIPES[2], (1, 224, 1)),  # 204 clusters, in tiles of 32
]
SEGMENT = 4096


def up(n, to):
    return -(-n // to) * to


def side(codec, dim, block):
    bits, axis, group, symmetric = codec[:4]
    boosted = 4 * math.floor(codec[4] * dim / 4 + 0.5) if len(codec) > 4 else 0
    if bits == 16:
        return 2 * dim * block
    units = dim * (block // group) if axis == "channel" else math.ceil(dim / group) * block
    plane = boosted * block // 4 + up(boosted, 16)
    outliers = 4 * math.floor(codec[5] * dim * block + 0.5) if len(codec) > 5 else 0
    return up(units * 2 * (1 if symmetric else 2), 16) + up(dim * block * bits // 8, 16) + plane + outliers


print("layers,q_heads,kv_heads,head_dim_k,head_dim_v,bytes_per_token,recipe")
for layers, q, kv, dk, dv in SHAPES:
    for recipe, block, skip, k, v in RECIPES:
        half = 2 * (dk + dv) + 4 / block
        sealed = 0 if k is None else (up(side(k, dk, block) + side(v, dv, block), 64) + 16) / block
        dense = layers if skip is None else skip
        total = kv * (dense * half + (layers - dense) * sealed)
        print(f"{layers},{q},{kv},{dk},{dv},{total:.3f},{recipe}")
    for recipe, codec, (rows, units, lists) in RECALL:
        k, v = codec[3:] if codec else ((16, "token", 32, 0), (16, "token", 32, 0))
        sealed = (up(side(k, dk, 64) + side(v, dv, 64), 64) + 16) / 64
        index = up(units * rows * 2 * dk + lists * 2 * (units + SEGMENT), 64) / SEGMENT
        print(f"{layers},{q},{kv},{dk},{dv},{layers * kv * (sealed + index):.3f},{recipe}")
