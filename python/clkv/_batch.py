# SPDX-License-Identifier: MIT
"""The rows of a batch of Transformers: a sequence for each, and the step of their last forward."""
from __future__ import annotations

import os
import warnings
import weakref
from dataclasses import replace
from functools import wraps
from threading import RLock, get_ident
from typing import Any

import torch

from . import _errors
from ._library import ffi
from ._tensors import in_place, layout_of, live_of, on_host
from .cache import Cache
from .context import Context
from .geometry import Geometry
from .sequence import Sequence, reorder

# Forwards of up to so many tokens, behind the first, are generation: drafts that are verified. Longer ones are parts of a prompt.
DRAFT_TOKENS = 32
# Forwards of one token between two looks at the cache's counters.
WARN_EVERY = 16
_OTHERS = "another thread has begun a forward with this cache, which is for one at a time"


class Store:
    """A library's cache and its open step. Copies of a ClkvCache share one, and commit each other's steps before their own."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.lock = RLock()  # one for all copies, as they settle each other
        self._owner: Any = None  # a weak reference to the state whose step is open

    def settle(self) -> None:
        """Ends the step that is open, whichever copy's it is."""
        owner = self._owner and self._owner()
        if owner is not None:
            owner.settle()

    def own(self, state: State | None) -> None:
        self._owner = None if state is None else weakref.ref(state)


def _alone(method: Any) -> Any:
    """One thread at a time begins, counts and ends the steps of a store: a commit and what is counted of it stay together."""
    @wraps(method)
    def locked(self: State, *arguments: Any, **others: Any) -> Any:
        if self.store is None:  # before the first forward there is no step
            return method(self, *arguments, **others)
        with self.store.lock:
            return method(self, *arguments, **others)
    return locked


class State:
    """The rows of a batch: their sequences, and the step that is open since the last forward.

    A forward's commit waits for what comes next, so that a draft's rejected tokens can be left out exactly (crop)."""

    def __init__(self, geometry: Geometry, recipe: str, context: Context, options: dict[str, Any]) -> None:
        self.geometry, self.recipe, self.context, self.options = geometry, recipe, context, options
        self.store: Any = None  # Store, from the first forward on
        self.sequences: list[Sequence] = []
        self.clear_rows()
        self.step: Any = None          # Step, while one is open
        self.after: Any = None         # what counts once its commit is done
        self.tokens, self.done = 0, 0  # columns of the last forward, and its layers so far
        self.live: list[int] = []      # its tokens that are no padding, by row
        self.whole = True              # none of them is padding
        self.thread = 0                # whose forward it is
        self.rows: list[int] = []      # rows that have some
        self.phases: list[str] = []
        self.warned, self.forwards = False, 0
        # of the last layer's tensors (plan):
        self.form: Any = None
        self.in_place = False
        self.layouts: Any = None

    def clear_rows(self) -> None:
        self.seen = 0  # columns of the batch that are committed, padding included
        self.skipped: list[int] = []  # of them padding, by row
        self.lengths: list[int] = []  # tokens of each sequence
        self.prompts: list[bool] = []  # whether its prompt has not ended

    # -- the open step --

    def complete(self) -> bool:
        return self.step is not None and self.done == self.geometry.layers

    @_alone
    def length(self) -> int:
        self.catch_up()
        return self.seen + (self.tokens if self.complete() else 0)

    @_alone
    def begin(self, batch: int, tokens: int, mask: Any) -> None:
        """Begins a step for a forward of [batch][tokens]; what the last one left is committed, or dropped if it was interrupted."""
        self.settle()
        self.store.settle()
        if not self.sequences:
            made = [self.store.cache.sequence() for _ in range(batch)]
            # here and below, what belongs together changes in one line: an interrupt comes before or behind it
            self.sequences, self.skipped, self.lengths, self.prompts = made, [0] * batch, [0] * batch, [False] * batch
        if batch != len(self.sequences):
            raise _errors.InvalidArgumentError(f"the batch has {batch} rows, and the cache holds {len(self.sequences)}")
        self.live = live_of(mask, batch, self.seen, tokens, self.skipped)
        self.tokens, self.done, self.thread = tokens, 0, get_ident()
        self.whole = sum(self.live) == batch * tokens
        self.phases = [self.phase(row) for row in range(batch)]
        self.rows = [row for row in range(batch) if self.live[row]]
        for row in self.rows:
            if self.phases[row] == "decode":
                self.end_row(row)
        if self.rows:
            items = [(self.sequences[row], self.live[row], self.phases[row]) for row in self.rows]
            first = [(row + 1) * tokens - self.live[row] for row in self.rows]
            self.store.own(self)
            self.step = self.store.cache.step(items, first_rows=first)

    def phase(self, row: int) -> str:
        long = self.live[row] > (DRAFT_TOKENS if self.lengths[row] else 1)
        return "prompt" if long else "decode"

    def end_row(self, row: int) -> None:
        if self.prompts[row]:
            self.prompts[row] = False
            self.sequences[row].end_prompt()

    @_alone
    def end_prompt(self) -> None:
        self.settle()
        for row in range(len(self.sequences)):
            self.end_row(row)

    @_alone
    def settle(self, remove: int = 0) -> int:
        """Commits the open step but for its last `remove` columns, or drops it if a layer is missing. Returns how many columns of
        `remove` are left to remove."""
        self.catch_up()
        if self.step is None:
            return remove
        if not self.complete():
            self.drop()
            return remove
        cut = min(remove, self.tokens)
        kept = [max(self.live[row] - cut, 0) for row in self.rows]
        if cut and not self.croppable and any(self.phases[row] == "prompt" for row in self.rows):
            raise _errors.UnsupportedError(f"{self.recipe}: a prompt that is judged by its last queries can't be cropped")
        self.after = self.counted(cut)
        self.step.commit(kept if cut else None)
        self.take(self.after)
        self.store.own(None)
        self.warn()
        return remove - cut

    def counted(self, cut: int) -> tuple[int, list[int], list[int], list[bool]]:
        """seen, skipped, lengths and prompts with the last forward's columns but the last `cut`."""
        kept = [max(n - cut, 0) for n in self.live]
        skipped = [old + self.tokens - cut - n for old, n in zip(self.skipped, kept)]
        lengths = [old + n for old, n in zip(self.lengths, kept)]
        prompts = [old or (n > 0 and phase == "prompt") for old, n, phase in zip(self.prompts, self.live, self.phases)]
        return self.seen + self.tokens - cut, skipped, lengths, prompts

    def take(self, counted: tuple[int, list[int], list[int], list[bool]]) -> None:
        self.seen, self.skipped, self.lengths, self.prompts, self.step, self.after = *counted, None, None

    def catch_up(self) -> None:
        """Counts what a commit has done that was interrupted behind the library's part of it."""
        if self.after is not None and self.step is not None and self.step.ended:
            self.take(self.after)

    def drop(self) -> None:
        """Leaves out a forward that didn't reach its last layer."""
        self.after = None
        self.step.abort()
        self.step = None
        self.store.own(None)

    def warn(self) -> None:
        """Looks now and then whether values were clamped: asking takes as long as a layer's calls."""
        self.forwards += 1
        if self.warned or (self.tokens == 1 and self.forwards % WARN_EVERY):
            return
        if self.store.cache.stats.not_finite:
            self.warned = True
            warnings.warn("K or V had values beyond float16 or not finite; they were clamped", RuntimeWarning, stacklevel=2)

    # -- one layer --

    def expect(self, index: int) -> None:
        """Refuses a layer's rows when the one before it has not been attended with: the model's attention went another way, and saw
        no more than the new rows."""
        if self.thread not in (0, get_ident()):
            raise _errors.InUseError(_OTHERS)
        if self.done != index:
            raise _errors.InvalidStateError(
                f'layer {index - 1} of this forward was not attended with by clkv: the model must have attn_implementation="clkv", and '
                "an attention that asks Transformers for its function")

    def attend(self, index: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Any, scale: float,
               softcap: float, sinks: Any) -> torch.Tensor:
        """Appends k and v and attends with q, all [batch][heads][tokens][dim]. Returns [batch][tokens][q_heads][dim]."""
        shape, device = q.shape, q.device
        batch, q_heads, tokens, dim = shape
        if self.store is None:
            self.open(batch, tokens, scale, softcap)
        form = (shape, k.shape, v.shape, q.stride(), k.stride(), v.stride(), q.dtype, k.dtype, v.dtype,
                device, k.device, v.device, scale, softcap)
        if form != self.form:
            self.plan(index, q, k, v, scale, softcap)
            self.form = form
        if index == 0:
            self.begin(batch, tokens, mask)
        elif self.thread != get_ident():
            raise _errors.InUseError(_OTHERS)
        step = self.step
        if self.done != index or (self.rows and step is None):
            raise _errors.InvalidStateError(f"layer {index} came behind {self.done} layers: each must come once, in order")
        out = (torch.empty if self.whole else torch.zeros)((batch, tokens, q_heads, dim), dtype=q.dtype)
        if step is not None:
            if not self.in_place:
                q, k, v = on_host(q), on_host(k), on_host(v)
            pointers = (k.data_ptr(), v.data_ptr(), q.data_ptr(), out.data_ptr())
            step._layer(index, self.layouts, pointers, (k, v, q, out, sinks), self.sinks(sinks))
        self.done += 1
        if step is None and self.done == self.geometry.layers:
            self.take(self.counted(0))  # a chunk of nothing but padding
        return out if device.type == "cpu" else out.to(device)

    def sinks(self, sinks: torch.Tensor | None) -> Any:
        """A pointer to sinks [q_heads], float32 in host memory."""
        if sinks is None:
            return ffi.NULL
        if tuple(sinks.shape) != (self.geometry.q_heads,):
            raise _errors.UnsupportedError(f"s_aux has shape {list(sinks.shape)}, and must have [{self.geometry.q_heads}]")
        return ffi.cast("float *", sinks.data_ptr())

    def plan(self, index: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, softcap: float) -> None:
        """How tensors of other shapes than the last layer's are handed over: found once, as finding it takes longer than the calls."""
        self.check(index, q, k, v, scale, softcap)
        self.in_place = all(in_place(x) for x in (k, v, q))
        rows = [layout_of(on_host(x)) for x in (k, v, q)]
        self.layouts = (rows[0], rows[1], rows[2], (rows[2][0], q.shape[1] * q.shape[3], q.shape[3]))

    def check(self, index: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float, softcap: float) -> None:
        geometry, (batch, _, tokens, _) = self.geometry, q.shape
        for name, x, heads in (("q", q, geometry.q_heads), ("k", k, geometry.kv_heads), ("v", v, geometry.kv_heads)):
            if tuple(x.shape) != (batch, heads, tokens, geometry.head_dim_k):
                raise _errors.UnsupportedError(f"layer {index}: {name} has shape {list(x.shape)}, and the configuration tells of "
                                               f"[{batch}, {heads}, {tokens}, {geometry.head_dim_k}]")
        if (scale, softcap) != (geometry.scale, geometry.softcap):
            raise _errors.UnsupportedError(f"layer {index}: scale {scale} and softcap {softcap} differ from those of the layers "
                                           f"before it, {geometry.scale} and {geometry.softcap}")

    def open(self, batch: int, tokens: int, scale: float, softcap: float) -> None:
        """Makes the library's cache at the first forward, which tells how large batches are."""
        self.geometry = replace(self.geometry, scale=scale, softcap=softcap)
        options = dict(self.options)
        options["max_sequences"] = options.get("max_sequences") or 2 * batch
        options["max_step_tokens"] = options.get("max_step_tokens") or min(max(512, batch * tokens), options["max_tokens"])
        self.warn_of_spinning()
        self.store = Store(Cache(self.context, self.geometry, self.recipe, **options))
        if self.store.cache.rereads:
            raise _errors.UnsupportedError(f"{self.recipe}: a prompt is judged when it has been read again, which Transformers doesn't do")

    def warn_of_spinning(self) -> None:
        """On a CPU torch's idle threads and the device's want the same cores: decoding becomes many times slower."""
        passive = os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive"
        if not (passive or self.context.info.is_gpu or torch.get_num_threads() == 1):
            warnings.warn("set OMP_WAIT_POLICY=passive in the environment before Python starts: torch's idle threads keep the "
                          "cores from the OpenCL device", RuntimeWarning, stacklevel=2)

    # -- what generation does with a batch --

    @_alone
    def crop(self, remove: int) -> None:
        remove = self.settle(remove)
        if remove == 0:
            return
        for row, sequence in enumerate(self.sequences):
            padding = max(remove - self.lengths[row], 0)
            self.lengths[row] -= remove - padding
            self.skipped[row] -= padding
            sequence.truncate(self.lengths[row])
        self.seen = max(self.seen - remove, 0)

    @_alone
    def reorder(self, source: list[int]) -> None:
        if len(source) != len(self.sequences):
            self.select(source)
            return
        self.settle()
        reorder(self.sequences, source)
        self.recount(source)

    def recount(self, source: list[int]) -> None:
        for name in ("skipped", "lengths", "prompts"):
            setattr(self, name, [getattr(self, name)[i] for i in source])

    @_alone
    def select(self, source: list[int]) -> None:
        """Makes the rows those of source, any number of them: the first use of a row takes its sequence, others are forks."""
        self.settle()
        old, taken, new = self.sequences, set(), []
        for i in source:
            new.append(old[i].fork() if i in taken else old[i])
            taken.add(i)
        for i, sequence in enumerate(old):
            if i not in taken:
                sequence.close()
        self.sequences = new
        self.recount(source)

    @_alone
    def reset(self) -> None:
        if self.step is not None:
            self.drop()
        for sequence in self.sequences:
            sequence.close()
        self.sequences = []
        self.clear_rows()

    @_alone
    def copy(self) -> State:
        self.settle()
        other = State(self.geometry, self.recipe, self.context, self.options)
        other.store, other.seen = self.store, self.seen
        other.sequences = [sequence.fork() for sequence in self.sequences]
        other.skipped, other.lengths, other.prompts = list(self.skipped), list(self.lengths), list(self.prompts)
        return other

    @property
    def croppable(self) -> bool:
        """Whether tokens can be taken back from a prompt: not where its last queries judge what is kept."""
        return self.store is None or self.store.cache.observes == 0

    def max_length(self) -> int:
        return self.options.get("max_seq_tokens") or self.options["max_tokens"]
