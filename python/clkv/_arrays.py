# SPDX-License-Identifier: MIT
"""Rows as the library takes them: of NumPy arrays, of pyopencl's arrays and buffers."""
from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from . import _errors
from ._library import ffi

F32, F16, BF16 = 0, 1, 2  # clkv_dtype
_CODES = {"float32": F32, "float16": F16, "bfloat16": BF16}
_ITEM_BYTES = {F32: 4, F16: 2, BF16: 2}


@dataclass(frozen=True)
class Tensor:
    """Rows in an OpenCL buffer: element (row, head, d) lies at offset + row * token_stride + head * head_stride + d.

    buffer  pyopencl.Buffer, or a cl_mem as a number
    dtype   "float32", "float16" or "bfloat16"
    All others are in elements; a stride of 0 means packed.
    """

    buffer: Any
    dtype: str = "float32"
    offset: int = 0
    token_stride: int = 0
    head_stride: int = 0


class Shape(NamedTuple):
    """[rows][heads][dim]; rows is a least number where more may follow."""

    rows: int
    heads: int
    dim: int
    exact: bool


class HostRows(NamedTuple):
    """Rows in host memory whose bounds the caller has checked; strides in elements, never 0."""

    pointer: int
    dtype: int
    token_stride: int
    head_stride: int
    owner: Any


def code_of(dtype: Any, name: str) -> int:
    """clkv_dtype of a dtype's name."""
    code = _CODES.get(str(dtype))
    if code is None:
        raise TypeError(f"{name} must be float32, float16 or bfloat16, not {dtype}")
    return code


def pyopencl_type(name: str) -> Any:
    """A class of pyopencl's if the program has imported it, else a class that nothing is of."""
    module: Any = sys.modules.get("pyopencl")
    if name == "Array":
        module = sys.modules.get("pyopencl.array")
    found = getattr(module, name, None)
    return found if isinstance(found, type) else _Nothing


class _Nothing:
    pass


def pointer_of(kind: str, value: Any, type_name: str, name: str) -> Any:
    """An OpenCL object as cffi has it: of pyopencl's class, or a number (the address)."""
    if isinstance(value, pyopencl_type(type_name)):
        return ffi.cast(kind, value.int_ptr)
    if isinstance(value, int) and not isinstance(value, bool) and value:
        return ffi.cast(kind, value)
    raise TypeError(f"{name} must be a pyopencl.{type_name}, not {type(value).__name__}")


def check_shape(have: tuple[int, ...], want: Shape, name: str) -> None:
    """Refuses all but [rows][heads][dim]."""
    good = len(have) == 3 and have[1:] == (want.heads, want.dim)
    if not good or have[0] < want.rows or (want.exact and have[0] != want.rows):
        least = "" if want.exact else "at least "
        raise _errors.InvalidArgumentError(
            f"{name} has shape {list(have)}, and must have [{least}{want.rows}, {want.heads}, {want.dim}]")


def _fits(array: np.ndarray) -> bool:
    """Whether the library can take the array where it lies: channels side by side, no stride that is 0 or negative."""
    item = array.itemsize
    rows, heads, dim = array.shape
    token, head, channel = array.strides
    return (array.flags.aligned and (dim == 1 or channel == item)
            and all(n == 1 or (s > 0 and s % item == 0) for n, s in ((rows, token), (heads, head))))


def _strides(array: np.ndarray) -> tuple[int, int]:
    """Strides in elements; those of a dimension of 1 may be anything in NumPy, and are packed here."""
    rows, heads, dim = array.shape
    head = array.strides[1] // array.itemsize if heads > 1 else dim
    token = array.strides[0] // array.itemsize if rows > 1 else max(head * heads, dim)
    return token, head


def _fill_numpy(tensor: Any, array: np.ndarray, want: Shape, name: str, written: bool) -> Any:
    code = code_of(array.dtype, name)
    check_shape(array.shape, want, name)
    if not array.dtype.isnative:
        raise TypeError(f"{name} must have the byte order of this machine")
    if written and not (array.flags.writeable and _fits(array)):
        raise _errors.InvalidArgumentError(f"{name} must be writeable, its channels side by side")
    if not _fits(array):
        array = array.copy(order="C")  # contiguous and aligned
    token, head = _strides(array)
    fill_host(tensor, HostRows(array.ctypes.data, code, token, head, array))
    return array


def _fill_array(tensor: Any, array: Any, want: Shape, name: str) -> Any:
    """pyopencl.array.Array: C order, as the strides of others may cross in ways that the library doesn't take."""
    tensor.dtype = code_of(array.dtype, name)
    check_shape(tuple(array.shape), want, name)
    if not array.flags.c_contiguous:
        raise _errors.InvalidArgumentError(f"{name} must be a contiguous pyopencl array")
    tensor.mem = ffi.cast("cl_mem", array.base_data.int_ptr)
    tensor.offset, odd = divmod(array.offset, _ITEM_BYTES[tensor.dtype])
    if odd:
        raise _errors.InvalidArgumentError(f"{name} begins {array.offset} bytes in, within an element")
    return array


def _fill_buffer(tensor: Any, rows: Tensor, name: str) -> Any:
    tensor.mem = pointer_of("cl_mem", rows.buffer, "Buffer", name)
    tensor.dtype = code_of(rows.dtype, name)
    tensor.offset, tensor.token_stride, tensor.head_stride = rows.offset, rows.token_stride, rows.head_stride
    return rows


def fill_host(tensor: Any, rows: HostRows) -> Any:
    """Points a clkv_tensor at rows that were checked."""
    tensor.host = ffi.cast("void *", rows.pointer)
    tensor.dtype, tensor.token_stride, tensor.head_stride = rows.dtype, rows.token_stride, rows.head_stride
    return rows.owner


def fill(tensor: Any, rows: Any, want: Shape, name: str, written: bool = False) -> Any:
    """Points a clkv_tensor that is all zeros at rows, and returns what must stay alive until the device has done with it."""
    if isinstance(rows, np.ndarray):
        return _fill_numpy(tensor, rows, want, name, written)
    if isinstance(rows, HostRows):
        return fill_host(tensor, rows)
    if isinstance(rows, Tensor):
        return _fill_buffer(tensor, rows, name)
    if isinstance(rows, pyopencl_type("Array")):
        return _fill_array(tensor, rows, want, name)
    raise TypeError(f"{name} must be a numpy array, a pyopencl array or a clkv.Tensor, not {type(rows).__name__}")


def floats(array: Any, shape: tuple[int, ...], name: str, written: bool = False) -> Any:
    """A float * at a packed float32 array in host memory; NULL for None."""
    if array is None:
        return ffi.NULL
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        raise TypeError(f"{name} must be a numpy array of float32")
    if array.shape != shape or not array.flags.c_contiguous or (written and not array.flags.writeable):
        raise _errors.InvalidArgumentError(
            f"{name} has shape {list(array.shape)}, and must be a contiguous array of {list(shape)}"
            + (" that can be written" if written else ""))
    return ffi.cast("float *", array.ctypes.data)
