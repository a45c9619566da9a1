# SPDX-License-Identifier: MIT
"""The library itself: found, loaded once, its version compared, its errors raised."""
from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import cffi

from . import _errors
from ._declarations import DECLARATIONS, VERSION, VERSION_NUMBER

# Names of OpenCL's that the headers use, and its functions that a queue of the binding's own needs. They are found through
# libclkv, which links the loader: so both call the same one.
_OPENCL = """
typedef int32_t cl_int;
typedef uint32_t cl_uint;
typedef uint64_t cl_bitfield;
typedef struct _cl_context *cl_context;
typedef struct _cl_device_id *cl_device_id;
typedef struct _cl_command_queue *cl_command_queue;
typedef struct _cl_mem *cl_mem;
typedef struct _cl_event *cl_event;
cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id device, cl_bitfield properties, cl_int *error);
cl_int clRetainCommandQueue(cl_command_queue queue);
cl_int clReleaseCommandQueue(cl_command_queue queue);
cl_int clFinish(cl_command_queue queue);
cl_int clFlush(cl_command_queue queue);
cl_int clWaitForEvents(cl_uint n, const cl_event *events);
cl_int clReleaseEvent(cl_event event);
"""

SONAME = "libclkv.so.0"  # configure.ac's CLKV_SO_VERSION: current - age

ffi = cffi.FFI()
ffi.cdef(_OPENCL + DECLARATIONS)

_loaded: Any = None
_lock = threading.Lock()

_HOW = """libclkv was not found. Tried: %s.
Build and install it (./autogen.sh && ./configure --prefix=$HOME/clkv && make && make install), then do one of these:
  - export CLKV_LIBRARY=$HOME/clkv/lib/%s
  - export PKG_CONFIG_PATH=$HOME/clkv/lib/pkgconfig    (pkg-config is asked)
  - export LD_LIBRARY_PATH=$HOME/clkv/lib, or run ldconfig after an installation under /usr/local"""


def _file_name() -> str:
    return "libclkv.0.dylib" if sys.platform == "darwin" else SONAME


def _pkg_config_dir() -> str | None:
    try:
        found = subprocess.run(["pkg-config", "--variable=libdir", "clkv"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return found.stdout.strip() or None


def _candidates() -> Iterator[str]:
    """Paths and names to try in order. CLKV_LIBRARY is a choice: where it's set nothing else is tried."""
    chosen = os.environ.get("CLKV_LIBRARY")
    if chosen:
        yield chosen
        return
    folder = _pkg_config_dir()
    if folder:
        yield os.path.join(folder, _file_name())
    yield _file_name()
    found = ctypes.util.find_library("clkv")
    if found:
        yield found


def _open() -> Any:
    tried = []
    for name in _candidates():
        try:
            return ffi.dlopen(name)
        except OSError as error:
            tried.append(str(error))
    raise _errors.LibraryNotFoundError(_HOW % ("; ".join(tried), _file_name()))


def _parts(number: int) -> tuple[int, int]:
    """Major and minor of a version number."""
    return number // 1000000, number // 1000 % 1000


def check_version(lib: Any) -> None:
    """Refuses a library whose functions may differ from the declarations: before 1.0 another minor version may."""
    try:
        number = lib.clkv_version_number()
    except AttributeError:
        raise _errors.LibraryNotFoundError("that library is no libclkv: it has no clkv_version_number") from None
    ours, theirs = _parts(VERSION_NUMBER), _parts(number)
    if ours[0] != theirs[0] or (ours[0] == 0 and ours[1] != theirs[1]) or theirs[1] < ours[1]:
        raise _errors.LibraryNotFoundError(
            f"libclkv is version {ffi.string(lib.clkv_version()).decode()}, and this package is for {VERSION}: "
            "install the package of the library's own source tree")


def load() -> Any:
    """The loaded library. Raises LibraryNotFoundError, which says what was tried and what to do."""
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                lib = _open()
                check_version(lib)
                _loaded = lib
    return _loaded


def text(chars: Any) -> str:
    """A C string as one of Python's."""
    return ffi.string(chars).decode("utf-8", "replace")


def encode(name: str, value: str | os.PathLike[str] | None) -> Any:
    """A C string that lives as long as what is returned, NULL for None."""
    if value is None:
        return ffi.NULL
    try:
        raw = os.fsencode(value)
    except TypeError:
        raise TypeError(f"{name} must be a string, not {type(value).__name__}") from None
    if b"\0" in raw:
        raise _errors.InvalidArgumentError(f"{name} has a zero byte in it")
    return ffi.new("char[]", raw)


def new(kind: str) -> Any:
    """A zeroed structure with its size set."""
    struct = ffi.new(kind + " *")
    struct.struct_size = ffi.sizeof(kind)
    return struct


def fail(status: int, error: Any) -> None:
    """Raises the exception of a status, with what the library wrote of it."""
    kind = _errors.by_status.get(status, _errors.Error)
    words = text(error.text) or text(load().clkv_status_string(status))
    raised = kind(words, error.position if error.position >= 0 else None, text(error.call), error.cl_code)
    raised.status = status
    raise raised


def call(function: Any, *arguments: Any) -> None:
    """Calls a function whose last parameter is a clkv_error, and raises what it returns."""
    error = ffi.new("clkv_error *")
    status = function(*arguments, error)
    if status:
        fail(status, error)
