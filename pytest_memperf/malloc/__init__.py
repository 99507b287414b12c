"""The libraries that can serve malloc for a whole process: one file each, and one row here."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from pytest_memperf.malloc import glibc, jemalloc, mimalloc, tcmalloc
from pytest_memperf.malloc.library import Malloc
from pytest_memperf.model.errors import UsageMistake, nearest

__all__ = ["MALLOCS", "Malloc", "named", "purging"]

MALLOCS = {each.name: each for each in (glibc.GLIBC, jemalloc.JEMALLOC, tcmalloc.TCMALLOC, mimalloc.MIMALLOC)}
"""By the name that tests and options give."""


def purging(malloc: Malloc) -> Callable[[], object] | None:
    """Return what has the library, which serves this process, give its free memory back; None where it cannot."""
    try:
        return malloc.purge and malloc.purge(ctypes.CDLL(None))
    except AttributeError:  # an older build
        return None


def named(name: object) -> Malloc:
    """Return the library of this name. UsageMistake where there is none."""
    names = f"choose from {', '.join(MALLOCS)}"
    if not isinstance(name, str):
        raise UsageMistake(f"{name!r} is no name of an allocator: {names}")
    if name not in MALLOCS:
        raise UsageMistake(f"there is no allocator {name!r}{nearest(name, MALLOCS) or f': {names}'}")
    return MALLOCS[name]
