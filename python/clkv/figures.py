# SPDX-License-Identifier: MIT
"""What the library tells in numbers, as named tuples; the fields are those of its structures."""
from __future__ import annotations

from typing import Any, NamedTuple

from ._library import ffi, text


class DeviceInfo(NamedTuple):
    """What the library knows of a device, and what it chose for it."""

    platform: str
    name: str
    vendor: str
    driver: str
    cl_version: str
    is_gpu: int
    compute_units: int
    vector_width: int
    has_fp16: int
    has_fp64: int
    has_subgroups: int
    global_bytes: int
    max_alloc_bytes: int
    local_bytes: int
    max_work_group: int
    lanes: int
    vec: int
    tuning: str


class Bytes(NamedTuple):
    """Bytes that a cache takes when it's made: device is the sum of what lies there, host beside it."""

    device: int
    sealed: int
    open: int
    tables: int
    scratch: int
    host: int
    per_token: float
    per_token_f16: float
    code_tables: int
    index: int  # type: ignore[assignment]
    recalled: int
    per_slot: float
    host_sealed: int
    rotation: int


class BytesUsed(NamedTuple):
    """Bytes in use of a cache whose sequences have some length; exact 0: the most that it may be."""

    exact: int
    device: int
    sealed: int
    open: int
    tables: int
    index: int  # type: ignore[assignment]
    host: int
    sequence: int
    sequence_host: int
    sealed_tokens: int


class SequenceInfo(NamedTuple):
    """Where a sequence stands.

    length      tokens
    min_length  truncate goes down to here, or to 0
    sealed      tokens in encoded blocks; where tokens are selected, those that left the window
    bytes       of the device that hold it, shared blocks in full; host_bytes of the host
    waits       why what is in half hasn't been sealed
    seals_at    length at which generation seals next; 0: never
    """

    length: int
    min_length: int
    sealed: int
    bytes: int
    host_bytes: int
    waits: str
    seals_at: int


class Stats(NamedTuple):
    """What a cache counts: bytes in use now, sequences and tokens now; steps, launches, values that weren't finite since it was made."""

    allocated: Bytes
    used_sealed: int
    used_open: int
    used_tables: int
    sequences: int
    tokens: int
    steps: int
    launches: int
    host_ns: int
    not_finite: int
    used_code_tables: int
    used_host: int
    used_index: int

    @property
    def used(self) -> int:
        """Bytes in use now, of device and host together."""
        return (self.used_sealed + self.used_open + self.used_tables + self.used_code_tables + self.used_host
                + self.used_index)


class Figure(NamedTuple):
    """A figure that a method counts; unit is "bytes", "values", "rows", or "" where it's that of K or V."""

    value: float
    unit: str
    meaning: str


class Stage(NamedTuple):
    """A stage of recipes; keys has a line "key=default: range and meaning" for each."""

    name: str
    brief: str
    source: str
    keys: tuple[str, ...]


class Kept(NamedTuple):
    """What a KV head kept of the tokens behind the sinks and before `tail`: [n] positions, weights, scores; [n][dim] k and v."""

    positions: Any
    weights: Any
    scores: Any
    k: Any
    v: Any
    tail: int


def read(kind: Any, struct: Any) -> Any:
    """A named tuple of a filled structure."""
    values = []
    for name in kind._fields:
        value = getattr(struct, name)
        if isinstance(value, ffi.CData):
            value = read(Bytes, value) if name == "allocated" else text(value)
        values.append(value)
    return kind(*values)
