# SPDX-License-Identifier: MIT
"""Exceptions: one for each status of the library, and two for what the binding itself refuses."""
from __future__ import annotations


class Error(Exception):
    """What went wrong. Every exception of this package is one.

    status    the library's number (CLKV_ERROR_*), 0 where the binding found the fault itself
    position  of a recipe: where the error begins, else None
    text      names what is wrong and what is allowed
    call      the OpenCL call that failed, or ""
    cl_code   OpenCL's code, or 0
    """

    status: int = 0

    def __init__(self, text: str, position: int | None = None, call: str = "", cl_code: int = 0) -> None:
        super().__init__(text)
        self.text, self.position, self.call, self.cl_code = text, position, call, cl_code

    def __str__(self) -> str:
        where = "" if self.position is None else f" (at position {self.position})"
        what = f" ({self.call}: {self.cl_code})" if self.call else ""
        return self.text + where + what


class InvalidArgumentError(Error, ValueError):
    """A bug of the caller's: a number out of range, an array of the wrong shape."""

    status = -10


class InvalidRecipeError(Error, ValueError):
    """The recipe can't be read; `position` says where."""

    status = -11


class InvalidStateError(Error):
    """Not allowed at this moment."""

    status = -12


class UnsupportedError(Error):
    """This device or combination can't do it."""

    status = -20


class NoDeviceError(Error):
    """No OpenCL device matches."""

    status = -21


class NoHostMemoryError(Error, MemoryError):
    """The allocator failed."""

    status = -30


class NoDeviceMemoryError(Error, MemoryError):
    """The device can't hold it."""

    status = -31


class PoolFullError(Error):
    """The cache has no room: drop or truncate sequences."""

    status = -32


class OpenCLError(Error):
    """An OpenCL call failed; `cl_code` and `call` say which."""

    status = -40


class BuildError(Error):
    """A kernel build failed; the log callback has the build log."""

    status = -41


class CorruptError(Error):
    """A file from outside is damaged."""

    status = -50


class IOFailureError(Error):
    """A file can't be read or written."""

    status = -51


class BusyError(Error):
    """The cache has an open step."""

    status = -60


class InternalError(Error):
    """A bug of the library's: please report it."""

    status = -90


class LibraryNotFoundError(Error, ImportError):
    """libclkv isn't there, or is of another version than this package."""


class ClosedError(InvalidStateError):
    """The object, or what it belongs to, is closed; or the step has ended."""


class InUseError(InvalidStateError):
    """Another thread is inside a call on the same object, or this one inside a callback of the library."""


by_status: dict[int, type[Error]] = {
    c.status: c
    for c in (InvalidArgumentError, InvalidRecipeError, InvalidStateError, UnsupportedError, NoDeviceError,
              NoHostMemoryError, NoDeviceMemoryError, PoolFullError, OpenCLError, BuildError, CorruptError,
              IOFailureError, BusyError, InternalError)
}
