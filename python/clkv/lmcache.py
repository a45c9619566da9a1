# SPDX-License-Identifier: MIT
"""Serializers of LMCache's interfaces: its chunks, encoded with a recipe of clkv's on their way to a store and back.

LMCache has two such interfaces. Its server (multiprocess mode) knows serdes by name, and takes new ones:

    python -c 'import clkv.lmcache as c; c.register(); from lmcache.cli.main import main; main()' server \\
        --l2-adapter '{"type": "fs", "base_path": "/cache", "serde": {"type": "clkv", "head_dim": 128, "recipe": "kivi:bits=4 ; window=0,sinks=0"}}'

What it calls are ClkvL2Serializer and ClkvL2Deserializer. Within an engine's process, remote_serde takes the names that LMCache's
CreateSerde has in it; doc/python.md has the line to add there, with create_serde. What it calls are ClkvSerializer and
ClkvDeserializer.

Chunks are KV_2LTD, [2][layers][tokens][kv_heads * head_dim] of float32, float16 or bfloat16: [0] K, rotated, [1] V. Recipes must keep
all tokens. Latent attention (MLA) and chunks by layer are refused by name.
"""
from __future__ import annotations

import importlib
import logging
from typing import Any

try:
    import torch
    from lmcache.v1 import memory_management as _memory
except ImportError as _error:
    raise ImportError(f"clkv.lmcache needs LMCache: pip install lmcache (what failed: {_error})") from _error

from . import _errors
from ._chunks import DEFAULT_RECIPE, SETTINGS, Chunks, check_groups, get, put, settings_of, tensor_of

_logger = logging.getLogger("clkv")
_L2 = "lmcache.v1.distributed.serde"


def _base(module: str, name: str) -> Any:
    """A class of LMCache's to derive from; object where this version of LMCache hasn't that interface."""
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError:
        return object


def _engine_chunks(config: Any, metadata: Any, settings: dict[str, Any]) -> Chunks:
    """Chunks of what LMCache's engine tells: metadata.kv_shape is (layers, 2, tokens of a chunk, kv_heads, head_dim)."""
    if getattr(metadata, "use_mla", False):
        raise _errors.UnsupportedError(f"{metadata.model_name} has latent attention (MLA), which isn't supported: remote_serde "
                                       "must be naive")
    if getattr(config, "use_layerwise", False):
        raise _errors.UnsupportedError("use_layerwise makes chunks by layer (KV_T2D, KV_2TD), which aren't supported; allowed: KV_2LTD")
    layers, _, tokens, heads, head_dim = metadata.kv_shape
    chunks = Chunks(head_dim, settings_of(settings, getattr(config, "extra_config", None)))
    chunks.bound((2, layers, tokens, heads * head_dim))  # names a recipe that can't be before a chunk comes
    return chunks


class ClkvSerializer(_base("lmcache.v1.storage_backend.naive_serde.serde", "Serializer")):  # type: ignore[misc]
    """Encodes chunks of an engine's remote backend. config and metadata are LMCache's; settings those of clkv._chunks.SETTINGS, which
    config.extra_config ("clkv_recipe") and the environment (CLKV_LMCACHE_RECIPE) may have too."""

    def __init__(self, config: Any, metadata: Any, **settings: Any) -> None:
        self._chunks = _engine_chunks(config, metadata, settings)

    def serialize(self, memory_obj: Any) -> Any:
        """A new object of bytes; memory_obj stays the caller's."""
        return _memory.BytesBufferMemoryObj(self._chunks.encode(tensor_of(memory_obj)))


class ClkvDeserializer(_base("lmcache.v1.storage_backend.naive_serde.serde", "Deserializer")):  # type: ignore[misc]
    """Decodes what ClkvSerializer made, into chunks of metadata.kv_dtype. Parameters as ClkvSerializer has; the recipe is the bytes' own."""

    def __init__(self, config: Any, metadata: Any, **settings: Any) -> None:
        self._chunks = _engine_chunks(config, metadata, settings)
        layers, _, self._most, heads, head_dim = metadata.kv_shape
        self._shape, self._dtype = (layers, heads * head_dim), metadata.kv_dtype

    def deserialize(self, memory_obj: Any) -> Any:
        """A new chunk in host memory; None, which LMCache takes as a miss, and a warning where the bytes can't be decoded: damaged
        ones, another model's."""
        try:
            return self._decode(memory_obj.byte_array)
        except _errors.Error as error:
            _logger.warning("a chunk of LMCache's can't be decoded: %s", error)
            return None

    def _decode(self, data: Any) -> Any:
        shape = self._chunks.shape_of(data)
        if (shape[1], shape[3]) != self._shape or not 1 <= shape[2] <= self._most:
            raise _errors.UnsupportedError(f"the file has a chunk of shape {list(shape)}; allowed: "
                                           f"[2, {self._shape[0]}, 1 to {self._most}, {self._shape[1]}]")
        raw = torch.empty(shape[0] * shape[1] * shape[2] * shape[3] * self._dtype.itemsize, dtype=torch.uint8)
        self._chunks.decode(data, raw.view(self._dtype).view(shape))
        return _memory.TensorMemoryObj(raw, _description(shape, self._dtype, raw.numel()), None)


def _description(shape: tuple[int, ...], dtype: torch.dtype, size: int) -> Any:
    """What LMCache keeps of a chunk that no allocator of its own has made: the collector frees it."""
    made = _memory.MemoryObjMetadata(shape=torch.Size(shape), dtype=dtype, address=0, phy_size=size, ref_count=1,
                                     fmt=_memory.MemoryFormat.KV_2LTD)
    if hasattr(made, "shapes"):  # versions that know groups of layers
        made.shapes, made.dtypes = [torch.Size(shape)], [dtype]
    return made


def create_serde(config: Any, metadata: Any, **settings: Any) -> tuple[ClkvSerializer, ClkvDeserializer]:
    """Both, for LMCache's CreateSerde."""
    return ClkvSerializer(config, metadata, **settings), ClkvDeserializer(config, metadata, **settings)


class ClkvL2Serializer(_base(_L2, "Serializer")):  # type: ignore[misc]
    """Encodes chunks of LMCache's server into buffers of its own.

    head_dim  of the model
    pad       fill buffers to their end, which is what stores that read whole buffers want (fs, and others); False: a store that knows
              sizes gets as many bytes as there are
    settings  those of clkv._chunks.SETTINGS, which the environment (CLKV_LMCACHE_RECIPE) may have too
    """

    def __init__(self, head_dim: int, pad: bool = True, **settings: Any) -> None:
        self._chunks, self._pad = Chunks(head_dim, settings_of(settings)), bool(pad)
        if not self._chunks.recipe.lstrip().startswith("layers"):  # those need to know how many there are
            self._chunks.bound((2, 1, 1, self._chunks.head_dim))  # names a recipe that can't be before a chunk comes

    def serialize(self, src: Any, dst: Any, key: Any = None) -> int:
        """Encodes src's chunk into dst's bytes and returns how many."""
        return put(self._chunks, src, dst, self._pad)

    def estimate_serialized_size(self, layout_desc: Any) -> int:
        """The bytes that a chunk takes at most."""
        check_groups(len(layout_desc.shapes))
        return self._chunks.bound(layout_desc.shapes[0])


class ClkvL2Deserializer(_base(_L2, "Deserializer")):  # type: ignore[misc]
    """Decodes what ClkvL2Serializer made. The recipe is the bytes' own."""

    def __init__(self, head_dim: int, **settings: Any) -> None:
        self._chunks = Chunks(head_dim, settings_of(settings))

    def deserialize(self, src: Any, dst: Any, key: Any = None) -> None:
        """Decodes src's bytes into dst's chunk; damaged ones are a CorruptError, which LMCache takes as a miss."""
        get(self._chunks, src, dst)


def _create_l2(arguments: dict[str, Any]) -> Any:
    """What LMCache's factory wants: from the JSON object behind "serde", less its type."""
    given = dict(arguments)
    workers, pad = int(given.pop("max_workers", 1)), given.pop("pad", True)
    if "head_dim" not in given:
        raise _errors.InvalidArgumentError('"serde" of type clkv has no "head_dim": the size of a head of K and V')
    head_dim = given.pop("head_dim")
    serde = importlib.import_module(_L2)
    return serde.AsyncSerdeProcessor(ClkvL2Serializer(head_dim, pad, **given), ClkvL2Deserializer(head_dim, **given),
                                     max_workers=workers)


def register(name: str = "clkv") -> None:
    """Makes "serde": {"type": name, "head_dim": ..., ...} known to LMCache's server in this process. Registering twice does nothing."""
    try:
        serde = importlib.import_module(_L2)
    except ImportError as error:
        raise ImportError(f"this version of LMCache takes no serdes by name: {error}") from error
    if name not in serde.get_registered_serde_types():
        serde.register_serde_factory(name, _create_l2)


__all__ = ["DEFAULT_RECIPE", "SETTINGS", "ClkvDeserializer", "ClkvL2Deserializer", "ClkvL2Serializer", "ClkvSerializer", "create_serde",
           "register"]
