# SPDX-License-Identifier: MIT
"""A cache: the memory of all sequences of one geometry and one recipe."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, BinaryIO

from . import _errors, _library
from ._files import Reader
from ._handles import Handle, inside_callback, made, use
from ._library import call, encode, ffi, new, text
from .context import Context, _options
from .figures import Figure, Stats, read
from .geometry import Geometry

if TYPE_CHECKING:
    from .sequence import Sequence
    from .step import Step


class Cache(Handle):
    """The memory of all sequences of one geometry and one recipe; all that it will ever take is allocated here.

    recipe           as `clkv-info --recipes` lists them: "kivi:bits=4 ; window=64"
    max_tokens       of all sequences together
    max_step_tokens  new rows of one step; 0: 512, or max_tokens if fewer
    max_sequences    0: 1
    max_seq_tokens   of one sequence; 0: max_tokens
    max_open_tokens  that lie in half at once; 0: max_tokens
    max_bytes        refuse to create a cache above this; max_host_bytes the same for host memory
    seed             of stages that draw at random
    codebook         bytes of Sequence.save_codebook, rotation those of rotation_bytes or clkv-train, calibration those of
                     calibration_bytes or clkv-train, factors those of factors_bytes or clkv-train; model: the
                     number of all of them

    Caches may be used by several threads; one step is open at a time.
    """

    _kind = "cache"
    _outlives_parent = True
    _calls: Any = None  # what its steps fill for the library (step.py)

    def __init__(self, context: Context, geometry: Geometry, recipe: str, max_tokens: int, *,
                 codebook: bytes | None = None, rotation: bytes | None = None, calibration: bytes | None = None,
                 factors: bytes | None = None, **options: int) -> None:
        self.context, self.geometry, self.recipe = context, geometry, recipe
        struct, _held = geometry._struct()
        filled, _data = _options(max_tokens, {**options, "codebook": codebook, "rotation": rotation,
                                              "calibration": calibration, "factors": factors})
        out = ffi.new("clkv_cache **")
        with use([], [context]), made(out, self._destroyer):
            call(_library.load().clkv_cache_create, context._pointer, struct, encode("recipe", recipe), filled, out)
            super().__init__(out, context)

    @staticmethod
    def _destroyer(pointer: Any) -> None:
        _library.load().clkv_cache_destroy(pointer)

    def sequence(self) -> Sequence:
        """A new, empty sequence."""
        from .sequence import Sequence
        out = ffi.new("clkv_seq **")
        with use([], [self]), made(out, _library.load().clkv_seq_destroy):
            call(_library.load().clkv_seq_create, self._pointer, out)
            return Sequence(out, self)

    def step(self, items: Iterable[tuple[Any, ...]], *, first_rows: Iterable[int] | None = None, queue: Any = None) -> Step:
        """Begins a forward pass. Items are (sequence, n_rows) or (sequence, n_rows, phase) with phase "decode" (the default),
        "prompt", "prompt_end", "probe" or "reread". Their rows follow each other in k, v, q and out; or those of item i begin at first_rows[i]."""
        from .step import Step
        return Step(self, list(items), first_rows, queue)

    def load(self, source: bytes | str | os.PathLike[str] | BinaryIO, queue: Any = None) -> Sequence:
        """A sequence that Sequence.save wrote: of bytes, a file's name or an open binary file, in which no byte behind it is read."""
        from .sequence import Sequence
        out = ffi.new("clkv_seq **")
        with Reader(source) as reader, use([], [self]), made(out, _library.load().clkv_seq_destroy):
            reader.run(_library.load().clkv_seq_load, self._pointer, self.context._queue_of(queue), reader.callback, ffi.NULL, out)
            return Sequence(out, self)

    def warm(self, progress: Callable[[int, int, str], Any] | None = None) -> None:
        """Builds every program that may ever be needed. progress(done, total, name) may answer True to stop: the others are then
        built when they are needed. An exception in it stops too, and is raised here."""
        raised: list[BaseException] = []

        @ffi.callback("clkv_progress_fn")
        def tell(_opaque, done, total, name):  # type: ignore[no-untyped-def]
            try:
                with inside_callback():
                    return 1 if progress is not None and progress(done, total, text(name)) is True else 0
            except BaseException as error:
                raised.append(error)
                return 1

        with use([], [self]):
            call(_library.load().clkv_cache_warm, self._pointer, tell, ffi.NULL)
        if raised:
            raise raised[0]

    @property
    def stats(self) -> Stats:
        """Counters and bytes in use now. What kernels count is known one commit later."""
        stats = new("clkv_stats")
        with use([], [self]):
            call(_library.load().clkv_cache_stats, self._pointer, stats)
        return read(Stats, stats)

    @property
    def nbytes(self) -> int:
        """Bytes that sequences have in use now, of device and host together."""
        return self.stats.used

    def figures(self) -> dict[str, Figure]:
        """What the recipe's methods count, by name."""
        lib, listed = _library.load(), []

        @ffi.callback("clkv_figure_fn")
        def take(_opaque, name, unit, meaning):  # type: ignore[no-untyped-def]
            listed.append((text(name), text(unit), text(meaning)))

        value, found = ffi.new("double *"), {}
        with use([], [self]):
            lib.clkv_cache_list_figures(self._pointer, take, ffi.NULL)
            for name, unit, meaning in listed:
                call(lib.clkv_cache_figure, self._pointer, encode("name", name), value)
                found[name] = Figure(value[0], unit, meaning)
        return found

    def blocks(self, function: str) -> str:
        """Why a call of the library ("clkv_step_attend") may wait for the device or a compiler; "" if it never does."""
        lib, why, number = _library.load(), ffi.new("const char **"), 0
        with use([], [self]):
            while text(lib.clkv_call_string(number)) != function:
                number += 1
                if number > 255:
                    raise _errors.InvalidArgumentError(f"{function} is no call that may block")
            return text(why[0]) if lib.clkv_cache_blocks(self._pointer, number, why) else ""

    @property
    def tuning(self) -> str:
        """How the kernels are shaped, and what the device has refused."""
        room = ffi.new("char[4096]")
        with use([], [self]):
            call(_library.load().clkv_cache_tuning, self._pointer, room, 4096)
        return text(room)

    @property
    def observes(self) -> int | None:
        """How many of a prompt's newest rows must be attended with: 0 where queries aren't looked at, None for all rows."""
        with use([], [self]):
            rows = _library.load().clkv_cache_observes(self._pointer)
        return None if rows == int(ffi.cast("size_t", -1)) else rows

    @property
    def weighs(self) -> bool:
        """Whether the recipe weighs tokens by attention, so that Step.observe needs log-sum-exps."""
        with use([], [self]):
            return bool(_library.load().clkv_cache_weighs(self._pointer))

    @property
    def rereads(self) -> bool:
        """Whether the recipe judges a prompt by rows of phase "reread", to be made before Sequence.end_prompt."""
        with use([], [self]):
            return bool(_library.load().clkv_cache_rereads(self._pointer))
