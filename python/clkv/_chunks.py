# SPDX-License-Identifier: MIT
"""Chunks of KV caches as torch tensors [2][layers][tokens][kv_heads * head_dim], to bytes and back. Needs torch; of LMCache, whose
chunks they are (clkv.lmcache), it needs nothing."""
from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import torch

from . import _errors, rows
from ._arrays import BF16, F16, F32, HostRows
from .context import _FILES, Context
from .geometry import Geometry

# Chunks stand alone, and hold 256 tokens as LMCache cuts them: no window and no sinks, so that all of them are encoded.
DEFAULT_RECIPE = "kivi:bits=4 ; window=0,sinks=0"
# Of a serde; the last ones are files' names, of what recipes want.
SETTINGS = ("recipe", "device", "model", "seed", *_FILES)

_DTYPES = {torch.float32: F32, torch.float16: F16, torch.bfloat16: BF16}
_contexts: dict[str, Context] = {}
_lock = threading.Lock()


def context_of(device: str) -> Context:
    """The context that all serdes on a device share, opened at the first call."""
    with _lock:
        if device not in _contexts or _contexts[device].closed:
            _contexts[device] = Context(device)
        return _contexts[device]


def settings_of(given: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Each setting from what was given, else from LMCache's extra_config ("clkv_recipe"), else from the environment
    (CLKV_LMCACHE_RECIPE). Raises an InvalidArgumentError for a setting that isn't one."""
    strangers = [f"clkv_{name}" for name in given if name not in SETTINGS]
    strangers += [name for name in extra or {} if name.startswith("clkv_") and name[5:] not in SETTINGS]
    if strangers:
        raise _errors.InvalidArgumentError(f"{strangers[0]} is no setting of clkv's; allowed: "
                                           + ", ".join(f"clkv_{name}" for name in SETTINGS))
    found = {name: os.environ.get("CLKV_LMCACHE_" + name.upper()) for name in SETTINGS}
    found.update({name: extra["clkv_" + name] for name in SETTINGS if extra and "clkv_" + name in extra})
    found.update(given)
    return {name: value for name, value in found.items() if value is not None}


class Chunks:
    """How chunks of one model are encoded.

    head_dim  of K and V: a chunk's last dimension is kv_heads * head_dim
    settings  those of settings_of: recipe (default DEFAULT_RECIPE); device, as of Context; model and seed; codebook, rotation,
              calibration, factors: names of files
    """

    def __init__(self, head_dim: int, settings: Mapping[str, Any]) -> None:
        self.head_dim = _number("head_dim", head_dim)
        self.recipe = str(settings.get("recipe", DEFAULT_RECIPE))
        self.device = str(settings.get("device", ""))
        self._options = {name: _number(name, settings[name]) for name in ("model", "seed") if name in settings}
        for name in _FILES:
            if name in settings:
                with open(settings[name], "rb") as file:
                    self._options[name] = file.read()

    @property
    def context(self) -> Context:
        """Where it's computed."""
        return context_of(self.device)

    def geometry(self, shape: Any) -> Geometry:
        """The geometry of a chunk's shape. Raises an UnsupportedError that names what it is instead."""
        shape = tuple(int(n) for n in shape)
        if len(shape) != 4 or shape[0] not in (1, 2):
            raise _errors.UnsupportedError(f"a chunk of shape {list(shape)} isn't supported; allowed: KV_2LTD, "
                                           "[2, layers, tokens, kv_heads * head_dim]")
        if shape[0] == 1:
            raise _errors.UnsupportedError(f"a chunk of shape {list(shape)} is latent attention's (MLA), which isn't supported: "
                                           "it has no values beside its keys")
        if shape[3] % self.head_dim:
            raise _errors.UnsupportedError(f"a chunk of shape {list(shape)} has no whole heads of {self.head_dim} channels")
        heads = shape[3] // self.head_dim
        return Geometry(layers=shape[1], q_heads=heads, kv_heads=heads, head_dim_k=self.head_dim)

    def bound(self, shape: Any) -> int:
        """The bytes that encode of a chunk of this shape returns at most."""
        return rows.encode_bound(self.context, self.geometry(shape), self.recipe, int(shape[2]))

    def encode(self, chunk: torch.Tensor) -> bytes:
        """The chunk as bytes. Its first half is K, behind RoPE, its second V; of float32, float16 or bfloat16 on any device."""
        geometry = self.geometry(chunk.shape)
        host = chunk.detach().to("cpu").contiguous()
        k, v = (_layers(half, self.head_dim) for half in host)
        return rows.encode_rows(self.context, geometry, self.recipe, chunk.shape[2], k, v, **self._options)

    def decode(self, data: Any, chunk: torch.Tensor) -> None:
        """Fills a chunk of the shape that was encoded, of any of encode's types, on any device. On failure it may have been
        written to."""
        geometry = self.geometry(chunk.shape)
        shape = rows.encoded_shape(data)
        rows.check_fits(shape, geometry)
        if shape.n_tokens != chunk.shape[2]:
            raise _errors.UnsupportedError(f"the chunk has room for {chunk.shape[2]} tokens, and the file has {shape.n_tokens}")
        here = chunk.device.type == "cpu" and chunk.is_contiguous()
        host = chunk.detach() if here else torch.empty(chunk.shape, dtype=chunk.dtype)
        k, v = (_layers(half, self.head_dim) for half in host)
        rows.decode_rows(self.context, geometry, data, shape.n_tokens, k, v, **self._options)
        if not here:
            chunk.copy_(host)

    def shape_of(self, data: Any) -> tuple[int, int, int, int]:
        """The shape of the chunk that data was made of."""
        shape = rows.encoded_shape(data)
        if shape.head_dim_k != self.head_dim or shape.head_dim_v != self.head_dim:
            raise _errors.UnsupportedError(f"the file has head sizes {shape.head_dim_k} and {shape.head_dim_v}, and the model "
                                           f"{self.head_dim}")
        return 2, shape.layers, shape.n_tokens, shape.kv_heads * self.head_dim


def _number(name: str, value: Any) -> int:
    """An integer of 0 or more, which the environment has as text."""
    try:
        number = int(value, 0) if isinstance(value, str) else int(value)
    except (TypeError, ValueError):
        number = -1
    if number < 0 or (name == "head_dim" and number == 0):
        raise _errors.InvalidArgumentError(f"{name} is {value!r}; allowed: a whole number")
    return number


def _layers(half: torch.Tensor, head_dim: int) -> list[HostRows]:
    """K or V of a chunk on the host, [layers][tokens][kv_heads * head_dim] and contiguous, layer by layer."""
    code = _DTYPES.get(half.dtype)
    if code is None:
        raise TypeError(f"chunks must be float32, float16 or bfloat16, not {str(half.dtype).removeprefix('torch.')}")
    return [HostRows(layer.data_ptr(), code, layer.shape[1], head_dim, layer) for layer in half]


# ---- objects that hold a chunk or bytes ----

def tensor_of(memory: Any) -> torch.Tensor:
    """The chunk of a memory object: `tensor`, of a `get_memory_format()` that is called KV_2LTD or UNDEFINED, of one
    group of layers."""
    name = getattr(memory.get_memory_format(), "name", "UNDEFINED")
    if name == "KV_MLA_FMT":
        raise _errors.UnsupportedError("chunks of the format KV_MLA_FMT are latent attention's (MLA), which isn't supported")
    if name not in ("KV_2LTD", "UNDEFINED"):
        raise _errors.UnsupportedError(f"chunks of the format {name} aren't supported; allowed: KV_2LTD")
    check_groups(len(getattr(memory.metadata, "shapes", None) or [None]))  # what versions have that know groups
    if memory.tensor is None:
        raise _errors.InvalidStateError("the memory object has no tensor: it was invalidated, or lies in no memory")
    return memory.tensor


def check_groups(n: int) -> None:
    """Refuses chunks whose layers differ in their shape or type."""
    if n != 1:
        raise _errors.UnsupportedError(f"chunks of {n} groups of layers, which differ in their shape, aren't supported; allowed: 1")


def put(chunks: Chunks, source: Any, target: Any, pad: bool) -> int:
    """Encodes source into target's bytes and returns how many they are; with pad all that target has, zeros behind the end."""
    data, room = chunks.encode(tensor_of(source)), _flat(target)
    if len(data) > room.numel():
        raise _errors.InvalidArgumentError(f"the buffer has {room.numel()} bytes, and the chunk takes {len(data)}")
    room[:len(data)].copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    if not pad:
        return len(data)
    room[len(data):].zero_()
    return room.numel()


def get(chunks: Chunks, source: Any, target: Any) -> None:
    """Decodes source's bytes, and no byte behind their end, into target's chunk."""
    chunks.decode(memoryview(_flat(source).cpu().numpy()), tensor_of(target))


def _flat(memory: Any) -> torch.Tensor:
    """The bytes of a memory object as they lie."""
    if memory.tensor is None:
        raise _errors.InvalidStateError("the memory object has no tensor: it was invalidated, or lies in no memory")
    return memory.tensor.view(torch.uint8).flatten()
