# SPDX-License-Identifier: MIT
"""Models of Transformers with their KV cache in clkv.

    import clkv.transformers
    clkv.transformers.register()
    model = AutoModelForCausalLM.from_pretrained(name, attn_implementation="clkv")
    cache = clkv.transformers.ClkvCache(model.config, "kivi:bits=4", max_tokens=4096)
    model.generate(**inputs, cache=cache)               # past_key_values=cache before Transformers 5.24
    print(cache.nbytes())

On CPUs start Python with OMP_WAIT_POLICY=passive. The model runs unmodified: the cache hands its attention function the new rows alone, and they are appended and attended to in the
library. No tensor holds all of K or V. Inference only: gradients end at attention.
"""
from __future__ import annotations

import inspect
import os
import warnings
import weakref
from dataclasses import replace
from typing import Any

import torch
import transformers
from transformers.cache_utils import Cache as _Cache
from transformers.cache_utils import CacheLayerMixin as _CacheLayerMixin

from . import _errors
from ._arrays import BF16, F16, F32
from ._library import ffi
from .cache import Cache
from .context import Context
from .geometry import Geometry, Rope
from .sequence import Sequence, reorder

NAME = "clkv"
# Forwards of up to so many tokens, behind the first, are generation: drafts that are verified. Longer ones are parts of a prompt.
DRAFT_TOKENS = 32
# Forwards of one token between two looks at the cache's counters.
WARN_EVERY = 16
_DTYPES = {torch.float32: F32, torch.float16: F16, torch.bfloat16: BF16}
_contexts: dict[str, Context] = {}


def register() -> None:
    """Makes attn_implementation="clkv" known to Transformers. Registering twice does nothing."""
    from transformers.masking_utils import AttentionMaskInterface
    transformers.AttentionInterface.register(NAME, attention_forward)
    AttentionMaskInterface.register(NAME, _mask)


def context_of(device: str = "") -> Context:
    """The context that caches on a device share, opened at the first call."""
    if device not in _contexts or _contexts[device].closed:
        _contexts[device] = Context(device)
    return _contexts[device]


def cache_name(model: Any) -> str:
    """What the model's forward and generate call their cache: "cache", or "past_key_values" before Transformers 5.24."""
    base = getattr(model, model.base_model_prefix, model)
    return "cache" if "cache" in inspect.signature(base.forward).parameters else "past_key_values"


# ---- models ----

def _refuse(config: Any, why: str) -> None:
    raise _errors.UnsupportedError(f"{getattr(config, 'model_type', 'this model')}: {why}")


def _layer_types(config: Any) -> list[str]:
    """full_attention or sliding_attention of each layer; all others are refused."""
    types = getattr(config, "layer_types", None)
    if types is None:
        slides = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
        types = ["sliding_attention" if slides else "full_attention"] * config.num_hidden_layers
    for kind in dict.fromkeys(types):
        if kind not in ("full_attention", "sliding_attention"):
            _refuse(config, f"layers of type {kind} have no KV cache that clkv could hold; full_attention and sliding_attention have")
    return list(types)


def _check_model(config: Any) -> None:
    """Refuses, in one sentence, models whose attention the library can't compute."""
    if getattr(config, "is_encoder_decoder", False):
        _refuse(config, "encoder-decoder models have two caches, of which clkv could hold neither alone")
    if getattr(config, "kv_lora_rank", None):
        _refuse(config, "latent attention (MLA) has no K and V for each head; its cache stays with DynamicCache")
    if not getattr(config, "num_attention_heads", None) or not getattr(config, "num_hidden_layers", None):
        _refuse(config, "the configuration has no attention heads; linear attention keeps no KV cache")
    if getattr(config, "num_kv_shared_layers", 0):
        _refuse(config, "layers that share another layer's K and V aren't supported")
    if getattr(config, "attention_chunk_size", None):
        _refuse(config, "chunked attention isn't supported")
    if getattr(config, "alibi", False):
        _refuse(config, "ALiBi isn't supported")
    if getattr(config, "global_head_dim", None) not in (None, getattr(config, "head_dim", None)):
        _refuse(config, "head sizes that differ between layers aren't supported")


def _rope(config: Any, dim: int) -> Rope:
    """What stages need that want to know the model's rotation (`expected`, Sequence.remove); of kinds of scaling that the library
    doesn't have nothing is told."""
    parameters = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    base = parameters.get("rope_theta") or getattr(config, "rope_theta", None)
    kind = parameters.get("rope_type", "default")
    if not isinstance(base, (int, float)) or kind not in ("default", "linear") or "full_attention" in parameters:
        return Rope()
    share = parameters.get("partial_rotary_factor") or getattr(config, "partial_rotary_factor", None) or 1.0
    scaled: dict[str, Any] = {"scaling": "linear", "factor": float(parameters["factor"])} if kind == "linear" else {}
    return Rope("halves", dims=int(dim * share), base=float(base), **scaled)


def geometry_of(config: Any, scale: float = 0.0, softcap: float = 0.0) -> Geometry:
    """The geometry of a model's attention. Raises UnsupportedError for models that clkv can't hold, with the reason."""
    config = config.get_text_config(decoder=True)
    _check_model(config)
    types = _layer_types(config)
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    windows = None
    if "sliding_attention" in types:
        windows = [config.sliding_window if kind == "sliding_attention" else 0 for kind in types]
    return Geometry(layers=config.num_hidden_layers, q_heads=config.num_attention_heads,
                    kv_heads=getattr(config, "num_key_value_heads", None) or config.num_attention_heads, head_dim_k=dim,
                    scale=scale, softcap=softcap, window=windows, rope=_rope(config, dim))


# ---- tensors ----

def _in_place(x: torch.Tensor) -> bool:
    """Whether [batch][heads][tokens][dim] can be rows b * tokens + t of the library where it lies."""
    (batch, _, tokens, _), strides = x.shape, x.stride()
    if not x.is_cpu or strides[3] != 1 or any(n > 1 and s <= 0 for n, s in zip(x.shape, strides)):
        return False
    return batch == 1 or tokens == 1 or strides[0] == tokens * strides[2]


def _on_host(x: torch.Tensor) -> torch.Tensor:
    """The tensor itself, or a copy that the library can take."""
    return x if _in_place(x) else x.detach().cpu().transpose(1, 2).contiguous().transpose(1, 2)


def _layout(x: torch.Tensor) -> tuple[int, int, int]:
    """Element type, token stride and head stride of a tensor that is in place; strides of a dimension of 1 may be anything in torch."""
    if x.dtype not in _DTYPES:
        raise TypeError(f"models in {x.dtype} can't be cached; float32, float16 and bfloat16 can")
    batch, heads, tokens, dim = x.shape
    token = x.stride(2) if tokens > 1 else x.stride(0) if batch > 1 else heads * dim
    return _DTYPES[x.dtype], token, x.stride(1) if heads > 1 else dim


def _live(mask: Any, batch: int, seen: int, tokens: int, skipped: list[int]) -> list[int]:
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


# ---- the cache ----

class _Store:
    """A library's cache and its open step. Copies of a ClkvCache share one, and commit each other's steps before their own."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._owner: Any = None  # a weak reference to the state whose step is open

    def settle(self) -> None:
        """Ends the step that is open, whichever copy's it is."""
        owner = self._owner and self._owner()
        if owner is not None:
            owner.settle()

    def own(self, state: _State | None) -> None:
        self._owner = None if state is None else weakref.ref(state)


class _Layer(_CacheLayerMixin):
    """What Transformers asks of a layer. All layers have one state."""

    is_compileable = False
    is_sliding = False
    supports_early_init = False

    def __init__(self, state: _State, index: int) -> None:
        self.keys = self.values = None
        self.is_initialized = True
        self._state, self._index = state, index

    @property
    def is_croppable(self) -> bool:  # type: ignore[override]
        return self._state.croppable

    def lazy_initialization(self, *arguments: Any, **others: Any) -> None:
        pass

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *arguments: Any,
               **others: Any) -> tuple[torch.Tensor, torch.Tensor]:
        key_states._clkv = self  # type: ignore[attr-defined]  # where it belongs, for the attention function
        return key_states, value_states

    def get_mask_sizes(self, query_length: Any) -> tuple[int, int]:
        new = query_length if isinstance(query_length, int) else query_length.shape[0]  # before 5.x: positions
        return self._state.length() + new, 0

    def get_seq_length(self, *arguments: Any) -> int:
        return self._state.length()

    def get_max_length(self) -> int:
        return self._state.max_length()

    get_max_cache_shape = get_max_length  # its name before 5.24


class _State:
    """The rows of a batch: their sequences, and the step that is open since the last forward.

    A forward's commit waits for what comes next, so that a draft's rejected tokens can be left out exactly (crop)."""

    def __init__(self, geometry: Geometry, recipe: str, context: Context, options: dict[str, Any]) -> None:
        self.geometry, self.recipe, self.context, self.options = geometry, recipe, context, options
        self.store: Any = None  # _Store, from the first forward on
        self.sequences: list[Sequence] = []
        self.clear_rows()
        self.step: Any = None          # Step, while one is open
        self.tokens, self.done = 0, 0  # columns of the last forward, and its layers so far
        self.live: list[int] = []      # its tokens that are no padding, by row
        self.whole = True              # none of them is padding
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

    def length(self) -> int:
        return self.seen + (self.tokens if self.complete() else 0)

    def begin(self, batch: int, tokens: int, mask: Any) -> None:
        """Begins a step for a forward of [batch][tokens]; what the last one left is committed, or dropped if it was interrupted."""
        self.settle()
        self.store.settle()
        if not self.sequences:
            self.sequences = [self.store.cache.sequence() for _ in range(batch)]
            self.skipped, self.lengths, self.prompts = [0] * batch, [0] * batch, [False] * batch
        if batch != len(self.sequences):
            raise _errors.InvalidArgumentError(f"the batch has {batch} rows, and the cache holds {len(self.sequences)}")
        self.live = _live(mask, batch, self.seen, tokens, self.skipped)
        self.tokens, self.done = tokens, 0
        self.whole = sum(self.live) == batch * tokens
        self.phases = [self.phase(row) for row in range(batch)]
        self.rows = [row for row in range(batch) if self.live[row]]
        for row in self.rows:
            if self.phases[row] == "decode":
                self.end_row(row)
        if self.rows:
            items = [(self.sequences[row], self.live[row], self.phases[row]) for row in self.rows]
            first = [(row + 1) * tokens - self.live[row] for row in self.rows]
            self.step = self.store.cache.step(items, first_rows=first)
            self.store.own(self)

    def phase(self, row: int) -> str:
        long = self.live[row] > (DRAFT_TOKENS if self.lengths[row] else 1)
        return "prompt" if long else "decode"

    def end_row(self, row: int) -> None:
        if self.prompts[row]:
            self.prompts[row] = False
            self.sequences[row].end_prompt()

    def end_prompt(self) -> None:
        self.settle()
        for row in range(len(self.sequences)):
            self.end_row(row)

    def settle(self, remove: int = 0) -> int:
        """Commits the open step but for its last `remove` columns, or drops it if a layer is missing. Returns how many columns of
        `remove` are left to remove."""
        if self.step is None:
            return remove
        if not self.complete():
            self.drop()
            return remove
        cut = min(remove, self.tokens)
        kept = [max(self.live[row] - cut, 0) for row in self.rows]
        if cut and not self.croppable and any(self.phases[row] == "prompt" for row in self.rows):
            raise _errors.UnsupportedError(f"{self.recipe}: a prompt that is judged by its last queries can't be cropped")
        self.step.commit(kept if cut else None)
        self.step = None
        self.store.own(None)
        self.count(cut)
        self.warn()
        return remove - cut

    def count(self, cut: int) -> None:
        """Adds the last forward's columns but the last `cut` to what is counted."""
        for row, n in enumerate(self.live):
            kept = max(n - cut, 0)
            self.skipped[row] += self.tokens - cut - kept
            self.lengths[row] += kept
            self.prompts[row] = self.prompts[row] or (n > 0 and self.phases[row] == "prompt")
        self.seen += self.tokens - cut

    def drop(self) -> None:
        """Leaves out a forward that didn't reach its last layer."""
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
        elif self.done != index or (self.rows and self.step is None):
            raise _errors.InvalidStateError(f"layer {index} came behind {self.done} layers: each must come once, in order")
        out = (torch.empty if self.whole else torch.zeros)((batch, tokens, q_heads, dim), dtype=q.dtype)
        if self.step is not None:
            if not self.in_place:
                q, k, v = _on_host(q), _on_host(k), _on_host(v)
            pointers = (k.data_ptr(), v.data_ptr(), q.data_ptr(), out.data_ptr())
            self.step._layer(index, self.layouts, pointers, (k, v, q, out, sinks), self.sinks(sinks))
        self.done += 1
        if self.step is None and self.done == self.geometry.layers:
            self.count(0)  # a chunk of nothing but padding
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
        self.in_place = all(_in_place(x) for x in (k, v, q))
        rows = [_layout(_on_host(x)) for x in (k, v, q)]
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
        self.store = _Store(Cache(self.context, self.geometry, self.recipe, **options))

    def warn_of_spinning(self) -> None:
        """On a CPU torch's idle threads and the device's want the same cores: decoding becomes many times slower."""
        passive = os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive"
        if not (passive or self.context.info.is_gpu or torch.get_num_threads() == 1):
            warnings.warn("set OMP_WAIT_POLICY=passive in the environment before Python starts: torch's idle threads keep the "
                          "cores from the OpenCL device", RuntimeWarning, stacklevel=2)

    # -- what generation does with a batch --

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

    def reset(self) -> None:
        if self.step is not None:
            self.drop()
        for sequence in self.sequences:
            sequence.close()
        self.sequences = []
        self.clear_rows()

    def copy(self) -> _State:
        self.settle()
        other = _State(self.geometry, self.recipe, self.context, self.options)
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


class ClkvCache(_Cache):
    """A KV cache of Transformers that lies in clkv. The model must have attn_implementation="clkv" (see register).

    config      the model's configuration
    recipe      how it's compressed, as `clkv-info --recipes` lists them: "kivi:bits=4"
    max_tokens  room for tokens of all rows of the batch together
    device      OpenCL device, as clkv.Context takes its name; context: one that is open, in place of it
    Other options are those of clkv.Cache. max_sequences: twice the rows of the first batch unless set (copies need some);
    max_step_tokens: 512 or the tokens of the first forward.

    Memory is taken at the first forward. Models that clkv can't hold, and recipes that the device or model can't have, are refused here.
    A batch's padding must be on the left, and isn't stored. The end of a prompt is where generation begins: behind the first forward,
    forwards of up to 32 tokens are generation (drafts), longer ones part of a prompt.
    copy.deepcopy makes a cache with the same tokens, which shares memory until one of the two is written to.
    """

    def __init__(self, config: Any, recipe: str = "f16", max_tokens: int = 4096, *, device: str = "",
                 context: Context | None = None, **options: Any) -> None:
        geometry = geometry_of(config)
        context = context or context_of(device)
        context.check(geometry, recipe)
        self._take(_State(geometry, recipe, context, {"max_tokens": max_tokens, **options}))

    def _take(self, state: _State) -> None:
        self._state = state
        self.layers = [_Layer(state, i) for i in range(state.geometry.layers)]
        self.layer_class_to_replicate, self.offloading = None, False

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *arguments: Any,
               **others: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the new rows, for the attention function that register makes known."""
        key_states._clkv = self.layers[layer_idx]  # type: ignore[attr-defined]  # where it belongs, for the attention function
        return key_states, value_states

    @property
    def cache(self) -> Cache | None:
        """The library's cache, None before the first forward. Copies share it."""
        return None if self._state.store is None else self._state.store.cache

    @property
    def sequences(self) -> list[Sequence]:
        """The library's sequences, one for each row; the last forward is committed."""
        self._state.settle()
        return list(self._state.sequences)

    def nbytes(self) -> int:
        """Bytes that the library holds for tokens now, copies' too."""
        self._state.settle()
        return 0 if self.cache is None else self.cache.nbytes

    def reserved_nbytes(self) -> int:
        """Bytes that were taken at the first forward, scratch included."""
        return 0 if self.cache is None else self.cache.stats.allocated.device + self.cache.stats.allocated.host

    def end_prompt(self) -> None:
        """Ends the prompt, as the first forward of generation does: recipes seal and select then."""
        self._state.end_prompt()

    def crop(self, n: int) -> None:
        """Removes the last -n tokens; n above 0, before Transformers 5.24: keeps n."""
        remove = -n if n <= 0 else max(self._state.length() - n, 0)
        self._state.crop(int(remove))

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Row i becomes what row beam_idx[i] was."""
        self._state.reorder(beam_idx.tolist())

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each row becomes `repeats` rows."""
        self._state.select([i for i in range(len(self._state.sequences)) for _ in range(repeats)])

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keeps the rows of indices."""
        rows = torch.arange(len(self._state.sequences))[indices.cpu()]
        self._state.select(rows.tolist())

    def reset(self) -> None:
        """Drops all tokens."""
        self._state.reset()

    def get_seq_length(self, layer_idx: int = 0, *arguments: Any) -> int:
        """Tokens of a row, padding included."""
        return self._state.length()

    def get_mask_sizes(self, query_length: Any, layer_idx: int = 0) -> tuple[int, int]:
        return self.layers[0].get_mask_sizes(query_length)

    def offload(self, *arguments: Any, **others: Any) -> None:
        """Does nothing: no tensor is here."""

    prefetch = early_initialization = activate_past_recording = offload

    @property
    def is_compileable(self) -> bool:
        return False

    @property
    def is_initialized(self) -> bool:
        return True

    def __deepcopy__(self, memo: Any) -> ClkvCache:
        other = object.__new__(type(self))
        other._take(self._state.copy())
        memo[id(self)] = other
        return other

    def __repr__(self) -> str:
        return f"ClkvCache({self._state.recipe!r}, {self._state.length()} tokens)"


# ---- attention ----

def attention_forward(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any,
                      scaling: float | None = None, dropout: float = 0.0, softcap: float | None = None, s_aux: Any = None,
                      sliding_window: int | None = None, **others: Any) -> tuple[torch.Tensor, None]:
    """The attention function of attn_implementation="clkv": q, k, v [batch][heads][new tokens][dim]."""
    layer = getattr(key, "_clkv", None)
    if layer is None:
        raise _errors.InvalidStateError('attn_implementation="clkv" needs the cache of clkv: '
                                        "pass cache=clkv.transformers.ClkvCache(model.config, recipe, max_tokens)")
    for name in ("position_bias", "head_mask"):
        if others.get(name) is not None:
            raise _errors.UnsupportedError(f"{type(module).__name__}: {name} isn't supported")
    if dropout or others.get("output_attentions"):
        raise _errors.UnsupportedError("dropout and output_attentions aren't supported")
    state, index = layer._state, layer._index
    window = state.geometry.window[index] if state.geometry.window else 0
    if (sliding_window or 0) != window:
        raise _errors.UnsupportedError(f"layer {index} slides by {sliding_window}, and the configuration tells of {window or None}")
    scale = float(scaling if scaling is not None else query.shape[-1] ** -0.5)
    sinks = None if s_aux is None else s_aux.detach().to("cpu", torch.float32).contiguous()
    return state.attend(index, query, key, value, attention_mask, scale, float(softcap or 0.0), sinks), None


def _plain(function: Any) -> bool:
    """Whether a mask function is causal, or causal within a window: what geometries tell. Others would be lost."""
    name = getattr(function, "__qualname__", "")
    if name in ("causal_mask_function", "sliding_window_overlay.<locals>.inner_mask"):
        return True
    if name != "and_masks.<locals>.and_mask":
        return False
    parts = inspect.getclosurevars(function).nonlocals.get("mask_functions", ())
    return bool(parts) and all(_plain(part) for part in parts)


def _mask(*arguments: Any, attention_mask: Any = None, mask_function: Any = None, kv_length: int = 0,
          **others: Any) -> Any:
    """The mask of attn_implementation="clkv": [batch][tokens] if some are padding, else None."""
    if mask_function is not None and not _plain(mask_function):
        raise _errors.UnsupportedError("this model's mask is neither causal nor a sliding window: clkv can't hold it")
    if attention_mask is None or bool(attention_mask.all()):
        return None
    return attention_mask
