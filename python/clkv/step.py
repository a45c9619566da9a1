# SPDX-License-Identifier: MIT
"""A step: one forward pass over the new rows of some sequences."""
from __future__ import annotations

from collections.abc import Iterable, Sequence as Many
from typing import Any

import numpy as np

from . import _arrays, _errors, _library
from ._arrays import Shape
from ._handles import Handle, hold, made, use
from ._library import call, ffi, new
from .cache import Cache
from .geometry import choice
from .sequence import Sequence

Layout = tuple[int, int, int]  # clkv_dtype, token stride and head stride in elements
Layouts = tuple[Layout, Layout, Layout, Layout]  # of k, v, q and out
_NO_ROWS = ffi.new("clkv_tensor *")
PHASES = {"decode": 0, "prompt": 1, "prompt_end": 2, "probe": 3, "reread": 4}


class _Rows:
    """A clkv_tensor that is filled again with each call."""

    __slots__ = ("tensor", "_host")

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor
        # cffi wants a pointer made for each address, unless the field is seen as a number
        self._host = ffi.cast("uintptr_t *", ffi.addressof(tensor[0], "host"))

    def clear(self) -> Any:
        """All zeros."""
        self.tensor[0] = _NO_ROWS[0]
        return self.tensor

    def fill(self, layout: Layout, pointer: int) -> None:
        """Rows in host memory."""
        tensor = self.tensor
        self._host[0] = pointer
        tensor.mem, tensor.offset = ffi.NULL, 0
        tensor.dtype, tensor.token_stride, tensor.head_stride = layout


class _Calls:
    """What a step's calls on its layers take: made once for a cache, which has one step at a time, as making it takes longer than
    they do. Filled and used while the step is held (_handles.hold)."""

    __slots__ = ("k", "v", "q", "out", "observed", "attend", "observe", "event", "error", "_layouts")

    def __init__(self) -> None:
        self.attend, self.observe = new("clkv_attend_args"), new("clkv_observe_args")
        self.event, self.error = ffi.new("cl_event *"), ffi.new("clkv_error *")
        self.k, self.v = _Rows(ffi.new("clkv_tensor *")), _Rows(ffi.new("clkv_tensor *"))
        self.q, self.out = _Rows(ffi.addressof(self.attend[0], "q")), _Rows(ffi.addressof(self.attend[0], "out"))
        self.observed = _Rows(ffi.addressof(self.observe[0], "q"))
        self._layouts: Layouts | None = None  # of the last fill, if nothing else has been written since

    def fill(self, layouts: Layouts, pointers: tuple[int, int, int, int]) -> None:
        """k, v, q and out in host memory, and nothing else."""
        if layouts is not self._layouts:
            self.attend.lse_host = ffi.NULL
            for rows, layout in zip((self.k, self.v, self.q, self.out), layouts):
                rows.fill(layout, 0)
            self._layouts = layouts
        self.k._host[0], self.v._host[0], self.q._host[0], self.out._host[0] = pointers


class Step(Handle):
    """One forward pass: in each layer append, then attend; then commit. Cache.step begins one.

    with cache.step([(sequence, 1)]) as step: commits at the block's end unless that was done inside, and aborts when an exception
    leaves it (KeyboardInterrupt too): sequences are then as before. One thread at a time.

    Arrays belong to the library from a call until the device has read or written them. Calls wait for that; with wait=False they
    don't, and arrays mustn't be touched before `finish`, `commit`, or a later call of the same layer that waits.
    """

    _kind = "step"

    def __init__(self, cache: Cache, items: list[tuple[Any, ...]], first_rows: Iterable[int] | None, queue: Any) -> None:
        self.cache = cache
        self._sequences, filled = _items(items)
        first = None if first_rows is None else [int(row) for row in first_rows]
        if first is not None and len(first) != len(items):
            raise _errors.InvalidArgumentError(f"{len(first)} first rows of {len(items)} items: there must be as many")
        counts = [item[1] for item in filled]
        self.rows = sum(counts) if first is None else max((a + n for a, n in zip(first, counts)), default=0)
        self._exact = first is None
        self._queue_owner, self._queue = queue, cache.context._queue_of(queue)
        self._held: dict[int, Any] = {}  # arrays that the device may still read or write, by layer
        # Arrays of this step that the library can take where they lie: (tensor, element type, shape, strides)
        self._known: dict[tuple[Any, ...], Layout] = {}
        self._steps_before: int | None = None  # steps that the cache had committed when this one's commit began
        self._start(filled, first)

    def _start(self, items: list[tuple[Any, int, int]], first: list[int] | None) -> None:
        out = ffi.new("clkv_step **")
        with use(self._sequences, [self.cache]), made(out, _library.load().clkv_step_abort):
            structs = ffi.new("clkv_step_item[]", [(s._pointer, n, phase) for s, n, phase in items])
            rows = ffi.NULL if first is None else ffi.new("size_t[]", first)
            call(_library.load().clkv_step_begin_rows, self.cache._pointer, structs, rows, len(items), self._queue, out)
            super().__init__(out, self.cache)
        self._hold = hold(self, self._sequences)
        if self.cache._calls is None:
            self.cache._calls = _Calls()
        self._calls: _Calls = self.cache._calls

    def _use(self) -> use:
        """What a call of the step holds. A sequence that was closed inside its step has left it."""
        return use([self, *[s for s in self._sequences if s._out[0]]], [self.cache])

    def append(self, layer: int, k: Any, v: Any, *, wait: bool = True) -> None:
        """Stores a layer's new rows, once per layer, before its attend: k [rows][kv_heads][head_dim_k], v [rows][kv_heads][head_dim_v],
        float32, float16 or bfloat16, finite."""
        with self._hold:
            calls = self._calls
            held = (self._fill(calls.k, k, "k"), self._fill(calls.v, v, "v"))
            self._run(_library.load().clkv_step_append, layer, held, wait, calls.k.tensor, calls.v.tensor)

    def attend(self, layer: int, q: Any, out: Any = None, *, lse: np.ndarray | None = None, sinks: np.ndarray | None = None,
               wait: bool = True) -> Any:
        """Attention of the step's rows over all tokens of their sequences up to themselves.

        q      [rows][q_heads][head_dim_k], float32, float16 or bfloat16
        out    [rows][q_heads][head_dim_v], written; None: a new array of float32
        lse    float32 [rows][q_heads], written: natural log of the sum of exp(logit), sinks included
        sinks  float32 [q_heads]: a logit per head that takes part in the softmax with no value
        Returns out.
        """
        geometry = self.cache.geometry
        if out is None:
            out = np.zeros((self.rows, geometry.q_heads, geometry.dim_v), np.float32)
        with self._hold:
            calls = self._calls
            held = (self._fill(calls.q, q, "q"), self._fill(calls.out, out, "out"), lse, sinks)
            calls.attend.lse_host = ffi.NULL if lse is None else _arrays.floats(lse, self._lse_shape(lse), "lse", True)
            calls.attend.sinks_host = ffi.NULL if sinks is None else _arrays.floats(sinks, (geometry.q_heads,), "sinks")
            self._run(_library.load().clkv_step_attend, layer, held, wait, calls.attend)
        return out

    def observe(self, layer: int, q: Any, lse: np.ndarray | None = None, *, wait: bool = True) -> None:
        """Hands queries to the stages that judge by them, in place of attend: q [rows][q_heads][head_dim_k]; lse float32
        [rows][q_heads] where Cache.weighs."""
        with self._hold:
            calls = self._calls
            held = (self._fill(calls.observed, q, "q"), lse)
            calls.observe.lse_host = _arrays.floats(lse, self._lse_shape(lse), "lse")
            self._run(_library.load().clkv_step_observe, layer, held, wait, calls.observe)

    def _lse_shape(self, lse: Any) -> tuple[int, int]:
        """[rows][q_heads], where rows apart may have more behind them, as in the other tensors."""
        more = 0 if self._exact or not isinstance(lse, np.ndarray) or lse.ndim != 2 else lse.shape[0]
        return max(self.rows, more), self.cache.geometry.q_heads

    def _fill(self, to: _Rows, rows: Any, name: str) -> Any:
        """Points a tensor at rows, and returns what must stay alive; name: k, v, q or out."""
        self._calls._layouts = None
        if type(rows) is np.ndarray:
            form = (name, rows.dtype, rows.shape, rows.strides)
            layout = self._known.get(form)
            flags = rows.flags
            if layout is not None and flags.aligned and (name != "out" or flags.writeable):
                to.fill(layout, rows.ctypes.data)
                return rows
        geometry = self.cache.geometry
        heads = geometry.q_heads if name in ("q", "out") else geometry.kv_heads
        dim = geometry.dim_v if name in ("v", "out") else geometry.head_dim_k
        tensor = to.clear()
        held = _arrays.fill(tensor, rows, Shape(self.rows, heads, dim, self._exact), name, name == "out")
        if type(rows) is np.ndarray and held is rows:
            self._known[form] = tensor.dtype, tensor.token_stride, tensor.head_stride
        return held

    def _run(self, function: Any, layer: int, held: tuple[Any, ...], wait: bool, *arguments: Any) -> None:
        """One call of the library on a layer: what it reads or writes stays alive until the device is done with it."""
        calls = self._calls
        self._held.setdefault(layer, []).append(held)
        status = function(self._out[0], layer, *arguments, 0, ffi.NULL, calls.event if wait else ffi.NULL, calls.error)
        if status:
            _library.fail(status, calls.error)
        if wait:
            self._wait(calls.event)
            del self._held[layer]

    def _layer(self, layer: int, layouts: Layouts, pointers: tuple[int, int, int, int], owners: Any, sinks: Any) -> None:
        """append, then attend, and the wait for both: rows k, v, q and out in host memory, whose bounds the caller has checked; sinks: a
        pointer to as many floats as there are heads, or NULL. Of a step whose calls are all of this kind."""
        with self._hold:
            lib, calls, step = _library.load(), self._calls, self._out[0]
            self._held[layer] = owners
            calls.fill(layouts, pointers)
            calls.attend.sinks_host = sinks
            status = lib.clkv_step_append(step, layer, calls.k.tensor, calls.v.tensor, 0, ffi.NULL, ffi.NULL, calls.error)
            if not status:
                status = lib.clkv_step_attend(step, layer, calls.attend, 0, ffi.NULL, calls.event, calls.error)
            if status:
                _library.fail(status, calls.error)
            self._wait(calls.event)
            del self._held[layer]

    def _wait(self, event: Any) -> None:
        lib = _library.load()
        try:
            code = lib.clWaitForEvents(1, event)
        finally:
            lib.clReleaseEvent(event[0])
        if code:
            raise _errors.OpenCLError("the device failed", None, "clWaitForEvents", code)

    def finish(self) -> None:
        """Waits until the device has done all that its queue was given."""
        with self._use():
            self._finish()

    def _finish(self) -> None:
        code = _library.load().clFinish(self._queue)
        if code:
            raise _errors.OpenCLError("the device failed", None, "clFinish", code)
        self._held.clear()

    def commit(self, kept: Many[int] | None = None) -> None:
        """Ends the step: keeps the first kept[i] new rows of item i, None: all. On an exception the step is still open: commit again,
        or abort."""
        if kept is not None and len(kept) != len(self._sequences):
            raise _errors.InvalidArgumentError(f"kept has {len(kept)} entries of {len(self._sequences)} items")
        with self._use():
            rows = ffi.NULL if kept is None else ffi.new("size_t[]", [int(n) for n in kept])
            self._steps_before = self._steps()
            self._doubtful = True
            call(_library.load().clkv_step_commit, self._pointer, rows)
            self._forget()
            if self._held:
                self._finish()

    def _steps(self) -> int:
        """Steps that the cache has committed."""
        stats = new("clkv_stats")
        call(_library.load().clkv_cache_stats, self.cache._pointer, stats)
        return stats.steps

    def _settle(self) -> None:
        """Learns whether a commit that was interrupted had been done: the step is gone then, and its pointer of no use."""
        if self._steps_before is None or self._pointer is None or self.cache.closed:
            return
        if self._steps() != self._steps_before:
            self._forget()

    @property
    def ended(self) -> bool:
        """Whether it was committed or aborted."""
        self._settle()
        return not self._out[0]

    def close(self) -> None:
        """Drops the step if it's still open."""
        self._settle()
        super().close()

    def abort(self) -> None:
        """Drops the step: its sequences are as before. Does nothing when it has ended."""
        self.close()

    def _destroy(self, pointer: Any) -> None:
        _library.load().clkv_step_abort(pointer)
        if self._held:
            self._finish()

    def _check_open(self) -> None:
        self._settle()
        if self._pointer is None:
            raise _errors.ClosedError("this step has ended")

    def __exit__(self, *exception: object) -> None:
        self._settle()
        if self._pointer is None:
            return
        if exception[0] is not None:
            self.close()
            return
        try:
            self.commit()
        except BaseException:
            self.close()
            raise


def _items(items: list[tuple[Any, ...]]) -> tuple[list[Sequence], list[tuple[Any, int, int]]]:
    """The sequences, and (sequence, rows, number of the phase) of each item."""
    filled = []
    for item in items:
        if not isinstance(item, tuple) or not 2 <= len(item) <= 3 or not isinstance(item[0], Sequence):
            raise TypeError("items must be tuples (clkv.Sequence, n_rows) or (clkv.Sequence, n_rows, phase)")
        phase = choice(PHASES, item[2] if len(item) == 3 else "decode", "phase")
        filled.append((item[0], int(item[1]), phase))
    return [item[0] for item in filled], filled
