# SPDX-License-Identifier: MIT
"""clkv: compressed KV caches on OpenCL devices, for Python.

    import clkv, numpy as np
    context = clkv.Context()
    geometry = clkv.Geometry(layers=2, q_heads=6, kv_heads=2, head_dim_k=64)
    with context.cache(geometry, "kivi:bits=4", max_tokens=1024) as cache, cache.sequence() as sequence:
        with cache.step([(sequence, 300, "prompt_end")]) as step:
            for layer in range(geometry.layers):
                step.append(layer, k[layer], v[layer])      # [300][2][64]
                out = step.attend(layer, q[layer])          # [300][6][64]

The library, libclkv, is found when it's first needed; LibraryNotFoundError says what to do where it isn't. clkv.transformers puts
caches into models of Transformers.
"""
import atexit as _atexit

from . import _handles
from ._arrays import Tensor
from ._declarations import VERSION as __version__
from ._errors import (BuildError, BusyError, ClosedError, CorruptError, Error, InternalError, InUseError,
                      InvalidArgumentError, InvalidRecipeError, InvalidStateError, IOFailureError, LibraryNotFoundError,
                      NoDeviceError, NoDeviceMemoryError, NoHostMemoryError, OpenCLError, PoolFullError, UnsupportedError)
from ._library import ffi as _ffi
from ._library import load as _load
from .cache import Cache
from .context import Context
from .figures import Bytes, BytesUsed, DeviceInfo, Figure, Kept, SequenceInfo, Stage, Stats
from .geometry import Geometry, Rope
from .recipe import full_recipe, recipes
from .rows import EncodedShape, decode, encode, encode_bound, encoded_shape
from .sequence import Sequence, calibration_bytes, factors_bytes, reorder, rotation_bytes
from .step import Step

_atexit.register(_handles.close_at_exit)


def library_version() -> str:
    """The version of the library that was found, "0.1.0"."""
    return _ffi.string(_load().clkv_version()).decode()


__all__ = [
    "BuildError", "BusyError", "Bytes", "BytesUsed", "Cache", "ClosedError", "Context", "CorruptError", "DeviceInfo",
    "EncodedShape", "Error", "Figure", "Geometry", "IOFailureError", "InUseError", "InternalError",
    "InvalidArgumentError", "InvalidRecipeError", "InvalidStateError", "Kept", "LibraryNotFoundError", "NoDeviceError",
    "NoDeviceMemoryError", "NoHostMemoryError", "OpenCLError", "PoolFullError", "Rope", "Sequence", "SequenceInfo",
    "Stage", "Stats", "Step", "Tensor", "UnsupportedError", "calibration_bytes", "decode", "encode", "encode_bound",
    "encoded_shape", "factors_bytes", "full_recipe", "library_version", "recipes", "reorder", "rotation_bytes",
]
