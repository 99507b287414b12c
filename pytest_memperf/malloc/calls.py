"""Calls of a library's functions for C."""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def function(program: ctypes.CDLL, name: str, result: type | None, *arguments: type) -> Callable[..., int]:
    """Return a function of the program with its types. AttributeError where it has none of that name."""
    found = program[name]  # each time a new one: the types are nobody else's
    found.restype, found.argtypes = result, arguments
    return found
