# SPDX-License-Identifier: MIT
"""What models of Transformers tell of their attention: as a geometry, or a sentence that says why clkv can't hold their cache."""
from __future__ import annotations

from typing import Any, NoReturn

try:  # the newest versions' configurations whose layers differ raise this for what differs
    from transformers.integrations.heterogeneity.configuration_utils import AmbiguousGlobalPerLayerAttributeError as _LayersDiffer
except ImportError:
    class _LayersDiffer(Exception):  # type: ignore[no-redef]
        pass

from . import _errors
from .geometry import Geometry, Rope


def _refuse(config: Any, why: str) -> NoReturn:
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
    if getattr(config, "alibi", False) or getattr(getattr(config, "attn_config", None), "alibi", False) or config.model_type == "bloom":
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
    try:
        return _geometry(config, scale, softcap)
    except _LayersDiffer:
        _refuse(config, "layers whose attention differs in its shape aren't supported")


def _geometry(config: Any, scale: float, softcap: float) -> Geometry:
    _check_model(config)
    types = _layer_types(config)
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    windows = None
    if "sliding_attention" in types:
        windows = [config.sliding_window if kind == "sliding_attention" else 0 for kind in types]
    return Geometry(layers=config.num_hidden_layers, q_heads=config.num_attention_heads,
                    kv_heads=getattr(config, "num_key_value_heads", None) or config.num_attention_heads, head_dim_k=dim,
                    scale=scale, softcap=softcap, window=windows, rope=_rope(config, dim))
