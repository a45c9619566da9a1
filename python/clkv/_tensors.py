# SPDX-License-Identifier: MIT
"""torch's tensors as the library's rows, and masks as numbers of tokens."""
from __future__ import annotations

from typing import Any

import torch

from . import _errors
from ._arrays import BF16, F16, F32

_DTYPES = {torch.float32: F32, torch.float16: F16, torch.bfloat16: BF16}


def in_place(x: torch.Tensor) -> bool:
    """Whether [batch][heads][tokens][dim] can be rows b * tokens + t of the library where it lies."""
    (batch, _, tokens, _), strides = x.shape, x.stride()
    if not x.is_cpu or strides[3] != 1 or any(n > 1 and s <= 0 for n, s in zip(x.shape, strides)):
        return False
    return batch == 1 or tokens == 1 or strides[0] == tokens * strides[2]


def on_host(x: torch.Tensor) -> torch.Tensor:
    """The tensor itself, or a copy that the library can take."""
    return x if in_place(x) else x.detach().cpu().transpose(1, 2).contiguous().transpose(1, 2)


def layout_of(x: torch.Tensor) -> tuple[int, int, int]:
    """Element type, token stride and head stride of a tensor that is in place; strides of a dimension of 1 may be anything in torch."""
    if x.dtype not in _DTYPES:
        raise TypeError(f"models in {x.dtype} can't be cached; float32, float16 and bfloat16 can")
    batch, heads, tokens, dim = x.shape
    token = x.stride(2) if tokens > 1 else x.stride(0) if batch > 1 else heads * dim
    return _DTYPES[x.dtype], token, x.stride(1) if heads > 1 else dim


def live_of(mask: Any, batch: int, seen: int, tokens: int, skipped: list[int]) -> list[int]:
    """How many of the new tokens of each row are no padding, from the mask [batch][seen + tokens]. Padding stands on the left."""
    if mask is None:
        if any(skipped):
            raise _errors.InvalidArgumentError("the cache has padded rows, and attention_mask tells of none: pass it in each call")
        return [tokens] * batch
    if mask.dim() != 2:
        raise _errors.UnsupportedError(f"attention masks of {mask.dim()} dimensions aren't supported; [batch][tokens] is")
    if tuple(mask.shape) != (batch, seen + tokens):
        raise _errors.InvalidArgumentError(
            f"attention_mask has shape {list(mask.shape)}, and must have [{batch}, {seen + tokens}]: all tokens so far")
    mask = mask.bool().cpu()
    live = mask[:, seen:].sum(1).tolist()
    pads = (seen + tokens - mask.sum(1)).tolist()
    for row, n in enumerate(live):
        if not mask[row, pads[row]:].all() or pads[row] - (tokens - n) != skipped[row]:
            raise _errors.UnsupportedError("padding must be on the left of a row, and stay where it was")
    return live
