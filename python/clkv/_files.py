# SPDX-License-Identifier: MIT
"""Files, bytes and open files as the functions that the library reads and writes by."""
from __future__ import annotations

import io
import os
from typing import Any

from ._handles import inside_callback
from ._library import call, ffi


class _Stream:
    """A file for the length of one call; what its functions raise is raised behind the call."""

    def __init__(self, file: Any, close: bool) -> None:
        self._file, self._close = file, close
        self._raised: BaseException | None = None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._close:
            self._file.close()

    def _try(self, function: Any, *arguments: Any) -> Any:
        """What the function returns, or None where it raised: C can't be left by an exception."""
        try:
            with inside_callback():
                return function(*arguments)
        except BaseException as error:
            self._raised = error
            return None

    def run(self, function: Any, *arguments: Any) -> None:
        """Calls the library; an exception of the file's is more than the error that it makes."""
        try:
            call(function, *arguments)
        except Exception:
            if self._raised is None:
                raise
        if self._raised is not None:
            raise self._raised


class Reader(_Stream):
    """clkv_read_fn of bytes, a file's name or an open binary file."""

    def __init__(self, source: Any) -> None:
        if isinstance(source, (bytes, bytearray, memoryview)):
            super().__init__(io.BytesIO(source), True)
        elif isinstance(source, (str, os.PathLike)):
            super().__init__(open(source, "rb"), True)
        elif hasattr(source, "read"):
            super().__init__(source, False)
        else:
            raise TypeError(f"source must be bytes, a file's name or an open file, not {type(source).__name__}")
        self.callback = ffi.callback("clkv_read_fn", self._read)

    def _read(self, _opaque: Any, data: Any, size: int) -> int:
        read = self._try(self._file.read, size)
        if read is None:
            return 0
        if not isinstance(read, bytes) or len(read) > size:
            self._raised = self._raised or TypeError("read(n) of the file must return at most n bytes")
            return 0
        ffi.memmove(data, read, len(read))
        return len(read)


class Writer(_Stream):
    """clkv_write_fn of a file's name or an open binary file; of None it collects bytes."""

    def __init__(self, target: Any) -> None:
        if target is None:
            super().__init__(io.BytesIO(), False)
        elif isinstance(target, (str, os.PathLike)):
            super().__init__(open(target, "wb"), True)
        elif hasattr(target, "write"):
            super().__init__(target, False)
        else:
            raise TypeError(f"file must be a file's name or an open file, not {type(target).__name__}")
        self._collected = target is None
        self.callback = ffi.callback("clkv_write_fn", self._write)

    def _write(self, _opaque: Any, data: Any, size: int) -> int:
        wrote = self._try(self._file.write, bytes(ffi.buffer(data, size)))
        return wrote if isinstance(wrote, int) else 0

    @property
    def result(self) -> bytes | None:
        """What was collected, else None."""
        return self._file.getvalue() if self._collected else None
