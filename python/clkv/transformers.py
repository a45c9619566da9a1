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
from typing import Any

import torch
import transformers
from transformers.cache_utils import Cache as _Cache
from transformers.cache_utils import CacheLayerMixin as _CacheLayerMixin

from . import _errors
from ._batch import State
from ._models import geometry_of
from .cache import Cache
from .context import Context
from .sequence import Sequence

NAME = "clkv"
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


# ---- the cache ----

class _Layer(_CacheLayerMixin):
    """What Transformers asks of a layer. All layers have one state."""

    is_compileable = False
    is_sliding = False
    supports_early_init = False

    def __init__(self, state: State, index: int) -> None:
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
        if self._index and self._state.done != self._index:
            self._state.expect(self._index)
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
        self._take(State(geometry, recipe, context, {"max_tokens": max_tokens, **options}))

    def _take(self, state: State) -> None:
        self._state = state
        self.layers = [_Layer(state, i) for i in range(state.geometry.layers)]
        self.layer_class_to_replicate, self.offloading = None, False

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *arguments: Any,
               **others: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the new rows, for the attention function that register makes known."""
        if layer_idx and self._state.done != layer_idx:
            self._state.expect(layer_idx)
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
