# SPDX-License-Identifier: MIT
"""A sequence: one stream of tokens in a cache."""
from __future__ import annotations

import os
from collections.abc import Sequence as Many
from typing import Any, BinaryIO

import numpy as np

from . import _arrays, _errors, _library
from ._files import Reader, Writer
from ._handles import Handle, made, use
from ._library import call, encode, ffi, new, text
from .cache import Cache
from .figures import Kept, SequenceInfo
from .geometry import Geometry


class Sequence(Handle):
    """One stream of tokens in a cache. Cache.sequence, Sequence.fork and Cache.load make them. One thread at a time."""

    _kind = "sequence"

    def __init__(self, out: Any, cache: Cache) -> None:
        self.cache = cache
        super().__init__(out, cache)

    @staticmethod
    def _destroyer(pointer: Any) -> None:
        _library.load().clkv_seq_destroy(pointer)

    def _call(self, function: str, *arguments: Any) -> None:
        with use([self], [self.cache]):
            call(getattr(_library.load(), function), self._pointer, *arguments)

    @property
    def info(self) -> SequenceInfo:
        """Its length, what is sealed, what it takes."""
        info = new("clkv_seq_info")
        self._call("clkv_seq_get_info", info)
        waits = text(_library.load().clkv_waits_string(info.waits))
        return SequenceInfo(info.length, info.min_length, info.sealed, info.bytes, info.host_bytes, waits, info.seals_at)

    def __len__(self) -> int:
        return self.info.length

    def __bool__(self) -> bool:
        return True

    def fork(self) -> Sequence:
        """A second sequence with the same tokens; memory is shared until one of the two writes."""
        out = ffi.new("clkv_seq **")
        with use([self], [self.cache]), made(out, self._destroyer):
            call(_library.load().clkv_seq_fork, self._pointer, out)
            return Sequence(out, self.cache)

    def truncate(self, n_tokens: int) -> None:
        """Keeps the first n_tokens tokens: min_length of info at least, or 0."""
        self._call("clkv_seq_truncate", n_tokens)

    def remove(self, start: int, stop: int, queue: Any = None) -> None:
        """Removes tokens start .. stop - 1; those behind move forward, their keys turned if the geometry's rope says how."""
        self._call("clkv_seq_remove", start, stop, self.cache.context._queue_of(queue))

    def end_prompt(self, queue: Any = None) -> None:
        """Ends a prompt whose last rows were committed with phase "prompt"."""
        self._call("clkv_seq_end_prompt", self.cache.context._queue_of(queue))

    def read(self, layer: int, start: int = 0, n: int | None = None, queue: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Rows start .. start + n - 1 of a layer, decoded: k [n][kv_heads][head_dim_k] and v [n][kv_heads][head_dim_v], float32.
        n None: up to the end. For checks and export."""
        n = len(self) - start if n is None else n
        if n < 1:
            raise _errors.InvalidArgumentError(f"n is {n}, and must be 1 at least")
        geometry = self.cache.geometry
        k = np.empty((n, geometry.kv_heads, geometry.head_dim_k), np.float32)
        v = np.empty((n, geometry.kv_heads, geometry.dim_v), np.float32)
        tensors = [ffi.new("clkv_tensor *") for _ in (k, v)]
        for tensor, array in zip(tensors, (k, v)):
            _arrays.fill(tensor, array, _arrays.Shape(*array.shape, True), "rows", True)
        self._call("clkv_seq_read", layer, start, n, *tensors, self.cache.context._queue_of(queue))
        return k, v

    def kept(self, layer: int, kv_head: int, queue: Any = None) -> Kept:
        """What a KV head has kept, of recipes that select tokens."""
        geometry, kept = self.cache.geometry, new("clkv_kept")
        queue = self.cache.context._queue_of(queue)
        room = max(len(self), 1)
        arrays: list[np.ndarray] = [np.empty(room, np.uint32), np.empty(room, np.float32), np.empty(room, np.float32),
                  np.empty((room, geometry.head_dim_k), np.float32), np.empty((room, geometry.dim_v), np.float32)]
        kept.room = room
        for name, array in zip(("positions", "weights", "scores", "k", "v"), arrays):
            setattr(kept, name, ffi.cast("uint32_t *" if name == "positions" else "float *", array.ctypes.data))
        self._call("clkv_seq_get_kept", layer, kv_head, kept, queue)
        positions, weights, scores, k, v = (array[:kept.n] for array in arrays)
        return Kept(positions, weights, scores, k, v, kept.tail)

    def save(self, file: str | os.PathLike[str] | BinaryIO | None = None, recipe: str | None = None,
             queue: Any = None) -> bytes | None:
        """Writes the sequence, as it is stored or encoded anew by another recipe, into a file (its name, or one that is open);
        None: returns the bytes."""
        return self._write(file, "clkv_seq_save", encode("recipe", recipe), self.cache.context._queue_of(queue))

    def save_range(self, start: int, stop: int, file: str | os.PathLike[str] | BinaryIO | None = None,
                   queue: Any = None) -> bytes | None:
        """Writes tokens start .. stop - 1 as they are stored; start must be a place of range_start."""
        return self._write(file, "clkv_seq_save_range", start, stop, self.cache.context._queue_of(queue))

    def load_range(self, source: bytes | str | os.PathLike[str] | BinaryIO, queue: Any = None) -> None:
        """Appends what save_range wrote to a sequence of the tokens before it."""
        with Reader(source) as reader, use([self], [self.cache]):
            reader.run(_library.load().clkv_seq_load_range, self._pointer, self.cache.context._queue_of(queue), reader.callback, ffi.NULL)

    def range_start(self, at: int) -> int:
        """The last place at or before `at` where save_range may begin."""
        with use([self], [self.cache]):
            return int(_library.load().clkv_seq_range_start(self._pointer, at))

    def save_codebook(self, file: str | os.PathLike[str] | BinaryIO | None = None, model: int = 0,
                      queue: Any = None) -> bytes | None:
        """Writes its codebooks for `codebook` of later caches; model: any number that tells the weights from others'."""
        return self._write(file, "clkv_seq_save_codebook", model, self.cache.context._queue_of(queue))

    def _write(self, file: Any, function: str, *arguments: Any) -> bytes | None:
        with Writer(file) as writer:
            with use([self], [self.cache]):
                writer.run(getattr(_library.load(), function), self._pointer, *arguments, writer.callback, ffi.NULL)
            return writer.result


def reorder(sequences: Many[Sequence], source: Many[int]) -> None:
    """Gives each of n different sequences of a cache what another holds: sequences[i] becomes what sequences[source[i]] was, as beam
    search does. All or nothing."""
    if len(sequences) != len(source):
        raise _errors.InvalidArgumentError(f"{len(sequences)} sequences and {len(source)} sources: there must be as many")
    for sequence in sequences:
        if not isinstance(sequence, Sequence):
            raise TypeError(f"sequences must be clkv.Sequence, not {type(sequence).__name__}")
    with use(list(dict.fromkeys(sequences)), list({s.cache: None for s in sequences})):
        call(_library.load().clkv_seq_reorder, [s._pointer for s in sequences], [int(i) for i in source], len(sequences))


def rotation_bytes(geometry: Geometry, k: np.ndarray, v: np.ndarray, model: int = 0) -> bytes:
    """Orthogonal matrices as `rotation` of a cache with rot=file takes them: k [layers][kv_heads][head_dim_k][head_dim_k] and v
    [layers][kv_heads][head_dim_v][head_dim_v], float32, [channel of the model][channel as stored]."""
    struct, _held = geometry._struct()
    pointers = [_arrays.floats(array, (geometry.layers, geometry.kv_heads, dim, dim), name)
                for name, array, dim in (("k", k, geometry.head_dim_k), ("v", v, geometry.dim_v))]
    with Writer(None) as writer:
        writer.run(_library.load().clkv_rotation_write, struct, model, *pointers, writer.callback, ffi.NULL)
        return writer.result or b""


def calibration_bytes(geometry: Geometry, *, k_step: np.ndarray, k_mean: np.ndarray, k_ask: np.ndarray, k_square: np.ndarray,
                      k_error: np.ndarray, threshold: np.ndarray, v_step: np.ndarray, v_mean: np.ndarray,
                      k_sample: np.ndarray, v_sample: np.ndarray, k_factor: tuple[float, float, float] = (0.5, 0.8, 1.3),
                      v_factor: tuple[float, float, float] = (0.4, 0.8, 1.4), model: int = 0) -> bytes:
    """What `calibration` of a cache with qtc takes; clkv_calibration tells what the numbers mean. Float32 behind
    [layers][kv_heads]: k_step, k_mean, k_ask, k_square [head_dim_k], k_error [3][head_dim_k], threshold [2], v_step, v_mean
    [head_dim_v]; codes int8: k_sample [head_dim_k][samples], v_sample [head_dim_v][samples]."""
    struct, _held = geometry._struct()
    heads, dk, dv = (geometry.layers, geometry.kv_heads), (geometry.head_dim_k,), (geometry.dim_v,)
    samples = k_sample.shape[-1:]
    given = new("clkv_calibration")
    for name, array, shape in (("k_step", k_step, dk), ("k_mean", k_mean, dk), ("k_ask", k_ask, dk), ("k_square", k_square, dk),
                               ("k_error", k_error, (3,) + dk), ("threshold", threshold, (2,)), ("v_step", v_step, ()),
                               ("v_mean", v_mean, dv)):
        setattr(given, name, _arrays.floats(array, heads + shape, name))
    for name, array, shape in (("k_sample", k_sample, dk + samples), ("v_sample", v_sample, dv + samples)):
        if array.dtype != np.int8 or array.shape != heads + shape or not array.flags.c_contiguous:
            raise _errors.InvalidArgumentError(f"{name} must be a contiguous array of int8, {list(heads + shape)}")
        setattr(given, name, ffi.cast("signed char *", array.ctypes.data))
    given.samples = samples[0]
    given.k_factor, given.v_factor = k_factor, v_factor
    with Writer(None) as writer:
        writer.run(_library.load().clkv_calibration_write, struct, model, given, writer.callback, ffi.NULL)
        return writer.result or b""


def _heads_order(order: np.ndarray | None, geometry: Geometry, name: str) -> object:
    if order is None:
        return ffi.NULL
    given = np.asarray(order)
    if given.shape != (geometry.layers, geometry.kv_heads) or given.dtype.kind not in "iu":
        raise _errors.InvalidArgumentError(f"{name} must be whole numbers, {[geometry.layers, geometry.kv_heads]}")
    return ffi.new("int[]", [int(head) for head in given.ravel()])


def factors_bytes(geometry: Geometry, k_down: np.ndarray, k_up: np.ndarray, v_down: np.ndarray, v_up: np.ndarray,
                  model: int = 0, *, heads_k: int = 1, heads_v: int = 1, before_rope: bool = False,
                  order_k: np.ndarray | None = None, order_v: np.ndarray | None = None, share: int = 1) -> bytes:
    """What `factors` of a cache with lowrank, lorc, recalkv, clla, cskv or csr takes: float32 behind [layers][kv_heads]: k_down
    [head_dim_k][rank_k], k_up [rank_k][head_dim_k], v_down [head_dim_v][rank_v], v_up [rank_v][head_dim_v]; what matters most comes
    first. Of groups of heads_k and heads_v KV heads: behind [layers][groups], with heads_k * head_dim_k in place of head_dim_k, and
    the same of V. order_k, order_v [layers][kv_heads]: heads in the order of their groups. before_rope: keys in front of RoPE.
    share: of groups of so many layers that follow each other: behind [layers / share][groups], widths share times as large."""
    struct, _held = geometry._struct()
    given = new("clkv_factors")
    given.rank_k, given.rank_v = k_down.shape[-1], v_down.shape[-1]
    given.heads_k, given.heads_v, given.before_rope, given.share = heads_k, heads_v, before_rope, share
    order_held = _heads_order(order_k, geometry, "order_k"), _heads_order(order_v, geometry, "order_v")
    given.order_k, given.order_v = order_held
    for heads, dim, rank, sides in ((heads_k, geometry.head_dim_k, given.rank_k, (("k_down", k_down), ("k_up", k_up))),
                                    (heads_v, geometry.dim_v, given.rank_v, (("v_down", v_down), ("v_up", v_up)))):
        groups = geometry.kv_heads // heads if heads > 0 else 0
        for name, array in sides:
            layers, width = geometry.layers // max(share, 1), max(share, 1) * heads * dim
            shape = (width, rank) if name.endswith("down") else (rank, width)
            setattr(given, name, _arrays.floats(array, (layers, groups) + shape, name))
    with Writer(None) as writer:
        writer.run(_library.load().clkv_factors_write, struct, model, given, writer.callback, ffi.NULL)
        return writer.result or b""
