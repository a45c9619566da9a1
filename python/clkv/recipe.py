# SPDX-License-Identifier: MIT
"""Recipes: which there are, what they mean in full."""
from __future__ import annotations

from . import _library
from ._library import ffi, text
from .figures import Stage


def recipes() -> list[Stage]:
    """All stages of recipes in the order of the library's table, with what they do, their source and their keys."""
    found: list[Stage] = []

    @ffi.callback("void(void *, const char *, const char *, const char *, const char *)")
    def take(_opaque, name, brief, source, keys):  # type: ignore[no-untyped-def]
        found.append(Stage(text(name), text(brief), text(source), tuple(text(keys).splitlines())))

    _library.load().clkv_recipe_list(take, ffi.NULL)
    return found


def full_recipe(recipe: str) -> str:
    """The recipe with every key, which means the same. Raises InvalidRecipeError, whose position says where it's wrong."""
    room = ffi.new("char[4096]")
    _library.call(_library.load().clkv_recipe_print, _library.encode("recipe", recipe), room, 4096)
    return text(room)
