# SPDX-License-Identifier: MIT
"""A device with its programs and tunings; what caches to come will take."""
from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _arrays, _errors, _library
from ._handles import Handle, closed_by_exit, inside_callback, use
from ._library import call, encode, ffi, new, text
from .figures import Bytes, BytesUsed, DeviceInfo, read
from .geometry import Geometry

if TYPE_CHECKING:
    from .cache import Cache

_SIZES = ("max_tokens", "max_step_tokens", "max_sequences", "max_seq_tokens", "max_bytes", "max_host_bytes", "seed", "model",
          "max_open_tokens")


_FILES = ("codebook", "rotation", "calibration", "factors")


def _options(max_tokens: int, others: dict[str, Any]) -> tuple[Any, Any]:
    """A clkv_cache_options, and what it points to."""
    options = new("clkv_cache_options")
    options.max_tokens = max_tokens
    held = []
    for name, value in others.items():
        if name not in _SIZES + _FILES:
            raise TypeError(f"{name} is no option of a cache; there are {', '.join(_SIZES + _FILES)}")
        if name in _SIZES:
            setattr(options, name, value)
        elif value is not None:
            held.append(ffi.from_buffer(value))
            setattr(options, name, held[-1])
            setattr(options, name + "_size", len(held[-1]))
    return options, held


class Context(Handle):
    """A device, its built programs and its tunings.

    device      "": the first GPU, else the first device; "gpu", "cpu", "P:D" as clkv-info lists them, a part of a name ("pocl"); or a
                pyopencl.Context, with its only device or cl_device
    queue       a pyopencl.CommandQueue for calls that name none; else one that the context makes
    cache_dir   programs on disk; None: CLKV_CACHE_DIR, else the user's cache folder; "": none
    log         log(level, subsystem, text), from any thread that calls the library and from those that build programs
    log_level   1 errors, 2 contexts, 3 caches, 4 builds, 5 launches

    A context may be used by several threads. It closes what belongs to it when it's closed, at the latest at the program's end.
    """

    _kind = "context"

    def __init__(self, device: Any = "", *, cl_device: Any = None, queue: Any = None,
                 cache_dir: str | os.PathLike[str] | None = None, kernel_dir: str | os.PathLike[str] | None = None,
                 log: Callable[[int, str, str], None] | None = None, log_level: int = 0) -> None:
        lib = _library.load()
        options = new("clkv_context_options")
        held = [encode("cache_dir", cache_dir), encode("kernel_dir", kernel_dir)]
        options.cache_dir, options.kernel_dir = held
        options.log_level = log_level
        self._log = _log_callback(log)
        options.log = self._log
        out = ffi.new("clkv_context **")
        if isinstance(device, str):
            call(lib.clkv_context_open, encode("device", device), options, out)
        else:
            call(lib.clkv_context_create, *_pyopencl_pair(device, cl_device), options, out)
        super().__init__(out, None)
        self._queue, self._queue_owner = ffi.NULL, queue
        closed_by_exit.add(self)
        try:
            self._open_queue(queue)
        except BaseException:
            self.close()
            raise

    def _open_queue(self, queue: Any) -> None:
        lib = _library.load()
        if queue is not None:
            self._queue = _arrays.pointer_of("cl_command_queue", queue, "CommandQueue", "queue")
            lib.clRetainCommandQueue(self._queue)
            return
        code = ffi.new("cl_int *")
        made = lib.clCreateCommandQueue(lib.clkv_context_cl(self._pointer), lib.clkv_context_device(self._pointer), 0, code)
        if code[0]:
            raise _errors.OpenCLError("no command queue could be made", None, "clCreateCommandQueue", code[0])
        self._queue = made

    def _destroy(self, pointer: Any) -> None:
        lib = _library.load()
        lib.clkv_context_destroy(pointer)
        queue, self._queue = self._queue, ffi.NULL
        if queue:
            lib.clReleaseCommandQueue(queue)

    def _queue_of(self, queue: Any) -> Any:
        """The cl_command_queue of a call: the caller's, else the context's."""
        return self._queue if queue is None else _arrays.pointer_of("cl_command_queue", queue, "CommandQueue", "queue")

    @property
    def info(self) -> DeviceInfo:
        """What the library knows of the device."""
        info = new("clkv_device_info")
        with use([], [self]):
            call(_library.load().clkv_context_get_info, self._pointer, info)
        return read(DeviceInfo, info)

    def pyopencl_context(self) -> Any:
        """The context as pyopencl has it, for buffers and queues of one's own. Needs pyopencl."""
        import pyopencl
        with use([], [self]):
            pointer = int(ffi.cast("intptr_t", _library.load().clkv_context_cl(self._pointer)))
            return pyopencl.Context.from_int_ptr(pointer, retain=True)

    def check(self, geometry: Geometry, recipe: str) -> None:
        """Raises what keeps this device from running a recipe on a geometry: UnsupportedError and others. Allocates nothing."""
        struct, _held = geometry._struct()
        with use([], [self]):
            call(_library.load().clkv_recipe_check, self._pointer, struct, encode("recipe", recipe))

    def bytes_required(self, geometry: Geometry, recipe: str, max_tokens: int, **options: Any) -> Bytes:
        """The bytes that a cache of these options, those of Cache, takes, which isn't made."""
        struct, _held = geometry._struct()
        filled, _data = _options(max_tokens, options)
        result = new("clkv_bytes")
        with use([], [self]):
            call(_library.load().clkv_bytes_required, self._pointer, struct, encode("recipe", recipe), filled, result)
        return read(Bytes, result)

    def bytes_at(self, geometry: Geometry, recipe: str, max_tokens: int, n_tokens: int, n_sequences: int = 1,
                 sealed: bool = True, **options: Any) -> BytesUsed:
        """The bytes that n_sequences sequences of n_tokens tokens have in use of such a cache. sealed: prompts have ended."""
        struct, _held = geometry._struct()
        filled, _data = _options(max_tokens, options)
        result = new("clkv_bytes_used")
        with use([], [self]):
            call(_library.load().clkv_bytes_at, self._pointer, struct, encode("recipe", recipe), filled, n_tokens,
                 n_sequences, sealed, result)
        return read(BytesUsed, result)

    def tuning(self, geometry: Geometry, recipe: str) -> str:
        """How the kernels of a cache to come are shaped, without building any."""
        struct, _held = geometry._struct()
        room = ffi.new("char[1024]")
        with use([], [self]):
            call(_library.load().clkv_tuning_get, self._pointer, struct, encode("recipe", recipe), room, 1024)
        return text(room)

    def cache(self, geometry: Geometry, recipe: str, max_tokens: int, **options: Any) -> Cache:
        """A cache on this context; the options are those of Cache."""
        from .cache import Cache
        return Cache(self, geometry, recipe, max_tokens, **options)

    def finish(self) -> None:
        """Waits until the context's queue has done all that it was given."""
        with use([], [self]):
            _library.load().clFinish(self._queue)


def _log_callback(log: Callable[[int, str, str], None] | None) -> Any:
    if log is None:
        return ffi.NULL

    @ffi.callback("clkv_log_fn")
    def speak(_opaque, level, subsystem, words):  # type: ignore[no-untyped-def]
        try:
            with inside_callback():
                log(level, text(subsystem), text(words))
        except Exception:  # C can't be left by an exception
            traceback.print_exc()

    return speak


def _pyopencl_pair(context: Any, device: Any) -> tuple[Any, Any]:
    """The cl_context and cl_device_id of pyopencl's objects."""
    pointer = _arrays.pointer_of("cl_context", context, "Context", "device")
    if device is None:
        devices = getattr(context, "devices", [])
        if len(devices) != 1:
            raise _errors.InvalidArgumentError(f"the pyopencl context has {len(devices)} devices: name one by cl_device")
        device = devices[0]
    return pointer, _arrays.pointer_of("cl_device_id", device, "Device", "cl_device")
