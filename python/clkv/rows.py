# SPDX-License-Identifier: MIT
"""Rows of all layers that belong to no sequence, as bytes and back: for stores and transports whose chunks stand alone."""
from __future__ import annotations

import struct
from collections.abc import Sequence as Many
from typing import Any, NamedTuple

import numpy as np

from . import _arrays, _errors, _library
from ._files import Reader, Writer
from ._handles import use
from ._library import call, encode as _text, ffi
from .context import Context, _options
from .geometry import Geometry

_HEAD = struct.Struct("<8sIIIIIII")  # doc/file-format.md: magic, version, bytes of the recipe, then what EncodedShape has
_MAGIC = b"\x89CLKV\r\n\x1a"
_FNV_START, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


class EncodedShape(NamedTuple):
    """What encoded rows tell of themselves: k has shape [layers][n_tokens][kv_heads][head_dim_k]."""

    layers: int
    kv_heads: int
    head_dim_k: int
    head_dim_v: int
    n_tokens: int


def encoded_shape(data: bytes | bytearray | memoryview) -> EncodedShape:
    """The shape of the rows in what encode or Sequence.save wrote. Reads the header alone, and raises CorruptError where it's damaged."""
    data = _bytes(data)
    if len(data) < _HEAD.size + 20 or data[:8] != _MAGIC:
        raise _errors.CorruptError("this is no file of clkv's: it doesn't begin with its mark")
    _, version, recipe, layers, kv_heads, dim_k, dim_v, n_tokens = _HEAD.unpack_from(data)
    if version not in (1, 2):
        raise _errors.UnsupportedError(f"the file has version {version}; allowed: 1 and 2, files that begin at the first token")
    end = 48 + recipe + (8 if data[44] & 2 else 0)
    if recipe > 4095 or len(data) < end + 8 or _checksum(data[:end]) != int.from_bytes(data[end:end + 8], "little"):
        raise _errors.CorruptError("the header is damaged")
    return EncodedShape(layers, kv_heads, dim_k, dim_v, n_tokens)


def encode_bound(context: Context, geometry: Geometry, recipe: str, n_tokens: int) -> int:
    """The bytes that encode of n_tokens rows returns at most."""
    shape, _held = geometry._struct()
    most = ffi.new("uint64_t *")
    with use([], [context]):
        call(_library.load().clkv_encode_bound, context._pointer, shape, _text("recipe", recipe), n_tokens, most)
    return int(most[0])


def encode(context: Context, geometry: Geometry, recipe: str, k: np.ndarray | Many[np.ndarray], v: np.ndarray | Many[np.ndarray], *,
           queue: Any = None, **options: Any) -> bytes:
    """Encodes rows of all layers. With "; window=0,sinks=0" behind the recipe all of them are encoded, and their number should be a
    multiple of its block.

    k        [layers][n_tokens][kv_heads][head_dim_k], behind RoPE by whatever positions; or one array for each layer
    v        [layers][n_tokens][kv_heads][head_dim_v]
    options  rotation, calibration, factors, codebook, model and seed, as of Cache
    """
    _check_layers(geometry, k, v)
    first = k[0]
    if not isinstance(first, np.ndarray):
        raise TypeError(f"k must be a numpy array, not {type(first).__name__}")
    return encode_rows(context, geometry, recipe, first.shape[0] if first.ndim else 0, k, v, queue=queue, **options)


def decode(context: Context, geometry: Geometry, data: bytes | bytearray | memoryview, *, dtype: Any = np.float32,
           queue: Any = None, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows of what encode, or Sequence.save, returned: k [layers][n_tokens][kv_heads][head_dim_k] and v
    [layers][n_tokens][kv_heads][head_dim_v] of dtype (float32, float16 or ml_dtypes' bfloat16). The recipe is the file's; options as of
    encode. Bytes behind the end aren't read."""
    shape = encoded_shape(data)
    check_fits(shape, geometry)
    k = np.empty((geometry.layers, shape.n_tokens, geometry.kv_heads, geometry.head_dim_k), dtype)
    v = np.empty((geometry.layers, shape.n_tokens, geometry.kv_heads, geometry.dim_v), dtype)
    decode_rows(context, geometry, data, shape.n_tokens, k, v, queue=queue, **options)
    return k, v


def encode_rows(context: Context, geometry: Geometry, recipe: str, n_tokens: int, k: Any, v: Any, *, queue: Any = None,
                **options: Any) -> bytes:
    """encode of rows of any kind that appends take: k and v have one for each layer, n_tokens rows in each."""
    shape, _held = geometry._struct()
    k_rows, v_rows, _owners = _tensors(geometry, n_tokens, k, v, False)
    filled, _data = _options(n_tokens, options)
    with Writer(None) as writer, use([], [context]):
        writer.run(_library.load().clkv_encode, context._pointer, shape, _text("recipe", recipe), filled, n_tokens, k_rows, v_rows,
                   context._queue_of(queue), writer.callback, ffi.NULL)
        return writer.result or b""


def decode_rows(context: Context, geometry: Geometry, data: bytes | bytearray | memoryview, n_tokens: int, k: Any, v: Any, *,
                queue: Any = None, **options: Any) -> None:
    """decode into rows that are there: k and v have one array for each layer, n_tokens rows in each. On failure they may have been
    written to."""
    shape, _held = geometry._struct()
    k_rows, v_rows, _owners = _tensors(geometry, n_tokens, k, v, True)
    filled, _data = _options(n_tokens, options)
    with Reader(_bytes(data)) as reader, use([], [context]):
        reader.run(_library.load().clkv_decode, context._pointer, shape, filled, n_tokens, k_rows, v_rows,
                   context._queue_of(queue), reader.callback, ffi.NULL)


def check_fits(shape: EncodedShape, geometry: Geometry) -> None:
    """Raises UnsupportedError where encoded rows are of another geometry."""
    have = shape[:4]
    want = (geometry.layers, geometry.kv_heads, geometry.head_dim_k, geometry.dim_v)
    if have != want:
        raise _errors.UnsupportedError("the file has {} layers, {} KV heads, head sizes {} and {}; ".format(*have)
                                       + "the geometry has {}, {}, {} and {}".format(*want))


def _bytes(data: Any) -> Any:
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"data must be bytes, not {type(data).__name__}")
    view = memoryview(data)
    # NumPy takes what memoryview.cast doesn't: the format "<B", which arrays of ctypes have
    return memoryview(np.frombuffer(view, np.uint8)) if view.nbytes else b""


def _checksum(data: Any) -> int:
    """FNV-1a of 64 bits."""
    sum64 = _FNV_START
    for byte in data:
        sum64 = (sum64 ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return sum64


def _check_layers(geometry: Geometry, k: Any, v: Any) -> None:
    for name, rows in (("k", k), ("v", v)):
        if not isinstance(rows, (np.ndarray, list, tuple)):
            raise TypeError(f"{name} must be a numpy array or a list of them, not {type(rows).__name__}")
        have = rows.shape[0] if isinstance(rows, np.ndarray) and rows.ndim else len(rows) if not isinstance(rows, np.ndarray) else 0
        if have != geometry.layers:
            raise _errors.InvalidArgumentError(f"{name} has rows of {have} layers, and must have those of {geometry.layers}")


def _tensors(geometry: Geometry, n_tokens: int, k: Any, v: Any, written: bool) -> tuple[Any, Any, list[Any]]:
    """clkv_tensor[layers] of k and v, and what must stay alive."""
    owners, tensors = [], []
    for name, rows, dim in (("k", k, geometry.head_dim_k), ("v", v, geometry.dim_v)):
        filled = ffi.new("clkv_tensor[]", geometry.layers)
        want = _arrays.Shape(n_tokens, geometry.kv_heads, dim, True)
        for layer in range(geometry.layers):
            owners.append(_arrays.fill(ffi.addressof(filled, layer), rows[layer], want, f"{name}[{layer}]", written))
        tensors.append(filled)
    return tensors[0], tensors[1], owners
