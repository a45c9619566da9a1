# SPDX-License-Identifier: MIT
"""What contexts, caches, sequences and steps have in common: they are closed once, and never under another thread's call.

The library lets threads share contexts and caches, not sequences and steps. C would crash where a caller mistakes that; here each
call says which objects it uses, and how, and a mistake is an exception."""
from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from threading import get_ident
from typing import Any

from . import _errors
from ._library import ffi

# Reentrant, as the garbage collector may close an object while this thread holds it.
_guard = threading.RLock()


class _Callbacks(threading.local):
    inside = False  # whether this thread is inside a function of the caller's that the library has called


_callbacks = _Callbacks()
closed_by_exit: weakref.WeakSet["Handle"] = weakref.WeakSet()


class Handle:
    """An object of the library's: a pointer, what it belongs to, what belongs to it, who is using it."""

    _kind = "object"

    # The library's pointer to a pointer: NULL behind it once it's destroyed, whoever does it.
    _out: Any = None
    # Whether the pointer may be of no use although it's there, so that _check_open must look.
    _doubtful = False
    # A weak reference to what uses it with each of its own calls, without an entry here (hold).
    _borrower: Any = None

    def __init__(self, out: Any, parent: Handle | None) -> None:
        self._parent = parent
        self._children: weakref.WeakSet[Handle] = weakref.WeakSet()
        self._users: dict[int, int] = {}  # calls that are inside, by thread
        # What must be destroyed before this is: destructors and outs of children. The collector clears weak references to objects
        # that go together before it closes any, in any order.
        self._boxes: dict[int, tuple[Any, Any]] = {}
        with _guard:
            self._out = out
            if parent is not None:
                parent._children.add(self)
                if self._outlives_parent:
                    parent._boxes[id(out)] = (type(self)._destroyer, out)

    @property
    def _pointer(self) -> Any:
        """The library's object, None if it, or what it belongs to, is closed, or it was never made."""
        one: Handle | None = self
        while one is not None:
            if one._out is None or not one._out[0]:
                return None
            one = one._parent
        return self._out[0]

    def _forget(self) -> None:
        """Its pointer is of no use any more."""
        self._out[0] = ffi.NULL

    @property
    def closed(self) -> bool:
        """Whether it can't be used any more."""
        return self._pointer is None

    def close(self) -> None:
        """Frees it, and what belongs to it. Closing twice is allowed; closing under another thread's call is an InUseError."""
        _refuse_callbacks(self)
        with _guard:
            if self._pointer is None:
                return
            pointers = self._take()
            parents = [] if self._parent is None else [self._parent]
            _add(parents, get_ident())
        try:
            for destroy, pointer in pointers:
                destroy(pointer)
        finally:
            with _guard:
                _remove(parents, get_ident())

    def _take(self) -> list[tuple[Any, Any]]:
        """Closes this, and with it all below, and returns what must be destroyed in that order. Under the guard."""
        for one in list(self._family()):
            if one._used_by_others():
                raise _errors.InUseError(f"another thread is inside a call on this {one._kind}: it can't be closed now")
        pointers = []
        for destroy, out in self._boxes.values():
            if out[0]:
                pointers.append((destroy, out[0]))
                out[0] = ffi.NULL
        pointers.append((self._destroy, self._pointer))
        self._forget()
        return pointers

    def _family(self) -> Any:
        """All that is open below, and this last."""
        for child in list(self._children):
            if child._pointer is not None:
                yield from child._family()
        yield self

    # Whether destroying the parent leaves it: a cache's sequences and steps go with it, a context's caches must go before.
    _outlives_parent = False

    @staticmethod
    def _destroyer(pointer: Any) -> None:
        """Destroys the library's object alone."""
        raise NotImplementedError

    def _destroy(self, pointer: Any) -> None:
        """Destroys it, with what the binding keeps for it."""
        self._destroyer(pointer)
        if self._parent is not None:
            self._parent._boxes.pop(id(self._out), None)

    def _used_by_others(self) -> bool:
        if any(thread != get_ident() for thread in self._users):
            return True
        borrower = self._borrower and self._borrower()
        return borrower is not None and borrower._used_by_others()

    def __enter__(self) -> Any:
        self._check_open()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._pointer is None:
            return
        try:
            self.close()
        except Exception:  # inside a callback: nobody could catch it, and the parent's end frees it
            pass

    def _check_open(self) -> None:
        """Raises a ClosedError if it can't be used."""
        if self._pointer is None:
            raise _errors.ClosedError(f"this {self._kind} is closed")

    def __repr__(self) -> str:
        return f"<clkv.{type(self).__name__}{' (closed)' if self.closed else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError(f"a {self._kind} can't be pickled or copied")


def _add(handles: list[Handle], thread: int) -> None:
    for handle in handles:
        handle._users[thread] = handle._users.get(thread, 0) + 1


def _remove(handles: list[Handle], thread: int) -> None:
    for handle in handles:
        left = handle._users.get(thread, 0) - 1
        if left > 0:
            handle._users[thread] = left
        else:
            handle._users.pop(thread, None)


def _refuse_callbacks(handle: Handle) -> None:
    if _callbacks.inside:
        raise _errors.InUseError(f"this {handle._kind} can't be used inside a callback of the library")


class use:
    """with use([sequence], [cache]): holds the first ones for this thread alone, and keeps all from being closed."""

    __slots__ = ("alone", "all")

    def __init__(self, alone: Sequence[Handle], shared: Sequence[Handle]) -> None:
        self.alone, self.all = alone, [*alone, *shared]

    # Each call of the library passes here, so both are written out. A pointer that is there is a sign of all that it belongs to, too:
    # the cache of sequences and steps is among the handles, and a context's end takes the pointers of its caches.
    def __enter__(self) -> None:
        thread = get_ident()
        with _guard:
            if _callbacks.inside:
                _refuse_callbacks(self.all[0])
            for handle in self.all:
                out = handle._out
                if out is None or not out[0] or handle._doubtful:
                    handle._check_open()
            for handle in self.alone:
                # A thread's own entry is no obstacle: an interrupt between two bytecodes may have left it.
                if (handle._users or handle._borrower) and handle._used_by_others():
                    raise _errors.InUseError(f"another thread is inside a call on this {handle._kind}")
            for handle in self.all:
                users = handle._users
                users[thread] = users.get(thread, 0) + 1

    def __exit__(self, *exception: object) -> None:
        thread = get_ident()
        with _guard:
            for handle in self.all:
                users = handle._users
                left = users.get(thread, 0) - 1
                if left > 0:
                    users[thread] = left
                else:
                    users.pop(thread, None)


class hold:
    """with hold(step, sequences): the same for a step's calls on a layer, of which there are many, and as often as one likes: it makes an
    entry in the step alone. Sequences look there (_borrower), and what the step belongs to isn't closed over the head of a child in use."""

    __slots__ = ("one", "borrowed")

    def __init__(self, one: Handle, borrowed: Sequence[Handle]) -> None:
        self.one = weakref.ref(one)  # which keeps this
        self.borrowed = borrowed
        for handle in borrowed:
            handle._borrower = self.one

    def __enter__(self) -> None:
        one, thread = self.one(), get_ident()
        assert one is not None
        with _guard:
            if _callbacks.inside:
                _refuse_callbacks(one)
            parent = one._parent
            if parent is not None and not parent._out[0]:
                parent._check_open()
            if one._doubtful or not one._out[0]:
                one._check_open()
            for handle in (one, *self.borrowed):
                if handle._users and handle._used_by_others():
                    raise _errors.InUseError(f"another thread is inside a call on this {handle._kind}")
            users = one._users
            users[thread] = users.get(thread, 0) + 1

    def __exit__(self, *exception: object) -> None:
        one, thread = self.one(), get_ident()
        assert one is not None
        with _guard:
            users = one._users
            left = users.get(thread, 0) - 1
            if left > 0:
                users[thread] = left
            else:
                users.pop(thread, None)


class made:
    """with made(out, destroy): destroys what the library has put into out if an interrupt comes before an object owns it."""

    __slots__ = ("out", "destroy")

    def __init__(self, out: Any, destroy: Any) -> None:
        self.out, self.destroy = out, destroy

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, *exception: object) -> None:
        if kind is not None and self.out[0]:
            pointer, self.out[0] = self.out[0], ffi.NULL
            self.destroy(pointer)


class inside_callback:
    """with inside_callback(): what the caller's function does now must not come back into the library."""

    def __enter__(self) -> None:
        _callbacks.inside = True

    def __exit__(self, *exception: object) -> None:
        _callbacks.inside = False


def close_at_exit() -> None:
    """Closes what is open before the interpreter takes modules apart."""
    for handle in list(closed_by_exit):
        try:
            handle.close()
        except Exception:
            pass
