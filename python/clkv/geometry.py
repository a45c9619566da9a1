# SPDX-License-Identifier: MIT
"""The shape of a model's attention."""
from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from typing import Any

from . import _errors
from ._library import ffi, new

_KINDS = {"none": 0, "halves": 1, "pairs": 2}
_SCALINGS = {"none": 0, "linear": 1, "yarn": 2}


def choice(table: dict[str, int], value: str, name: str) -> int:
    """The number of a name, else an error that lists the names."""
    try:
        return table[value]
    except (KeyError, TypeError):
        raise _errors.InvalidArgumentError(f"{name} is {value!r}, and must be one of {', '.join(table)}") from None


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding: at position p, pair i of a head's first `dims` channels turns by p * base^(-2 i / dims) / factors[i].

    kind        "none": the library knows nothing of it, and all else must be 0; "halves": channels i and i + dims / 2, the layout of
                Hugging Face; "pairs": 2 i and 2 i + 1, that of GGUF files
    by_library  False: q and k come rotated; True: the library rotates both
    dims        even, up to head_dim_k; 0: head_dim_k
    base        above 1; 0: 10000
    factors     [dims / 2], above 0; None: none
    scaling     "none", "linear" or "yarn", the last two with `factor`; yarn also with `original`
    """

    kind: str = "none"
    by_library: bool = False
    dims: int = 0
    base: float = 0.0
    factors: Many[float] | None = None
    attn_factor: float = 0.0
    scaling: str = "none"
    factor: float = 0.0
    original: float = 0.0
    beta_fast: float = 0.0
    beta_slow: float = 0.0
    ext_factor: float = 0.0

    def _fill(self, rope: Any) -> Any:
        """Fills a clkv_rope, and returns what it points to."""
        rope.kind, rope.scaling = choice(_KINDS, self.kind, "rope.kind"), choice(_SCALINGS, self.scaling, "rope.scaling")
        rope.by_library = bool(self.by_library)
        for name in ("dims", "base", "attn_factor", "factor", "original", "beta_fast", "beta_slow", "ext_factor"):
            setattr(rope, name, getattr(self, name))
        if self.factors is None:
            return None
        want = self.dims // 2
        if want <= 0 or len(self.factors) != want:
            raise _errors.InvalidArgumentError(
                f"rope.factors has {len(self.factors)} entries, and must have rope.dims / 2, with dims given")
        rope.factors = factors = ffi.new("float[]", [float(f) for f in self.factors])
        return factors


@dataclass(frozen=True)
class Geometry:
    """The shape of a model's attention.

    layers      1 to 1024
    q_heads     a multiple of kv_heads, at most 64 times as many
    head_dim_k  of q and k: a multiple of 16, from 16 to 256
    head_dim_v  of v and the result; 0: head_dim_k
    scale       of the logits; 0: 1 / sqrt(head_dim_k)
    softcap     logits become cap * tanh(logit / cap); 0: off
    window      for each layer the tokens that a row sees, itself included, 0 for all; None: all in all layers
    rope        for stages that want it, or if the library is to rotate
    """

    layers: int
    q_heads: int
    kv_heads: int
    head_dim_k: int
    head_dim_v: int = 0
    scale: float = 0.0
    softcap: float = 0.0
    window: Many[int] | None = None
    rope: Rope = field(default_factory=Rope)

    @property
    def dim_v(self) -> int:
        """The head size of v and of the result."""
        return self.head_dim_v or self.head_dim_k

    def _struct(self) -> tuple[Any, Any]:
        """A clkv_geometry, and what it points to."""
        geometry = new("clkv_geometry")
        for name in ("layers", "q_heads", "kv_heads", "head_dim_k", "head_dim_v", "scale", "softcap"):
            setattr(geometry, name, getattr(self, name))
        held = [self.rope._fill(geometry.rope)]
        if self.window is not None:
            if len(self.window) != self.layers:
                raise _errors.InvalidArgumentError(
                    f"window has {len(self.window)} entries, and must have one for each of {self.layers} layers")
            geometry.window = windows = ffi.new("int[]", [int(w) for w in self.window])
            held.append(windows)
        return geometry, held
