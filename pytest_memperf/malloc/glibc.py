"""glibc, the C library of most systems: ``mallinfo2`` of mallinfo(3), since 2.33."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from pytest_memperf.malloc.calls import function
from pytest_memperf.malloc.library import Heap, Malloc
from pytest_memperf.malloc.statistics import sees


class _Mallinfo2(ctypes.Structure):
    """struct mallinfo2."""

    _fields_ = (
        ("arena", ctypes.c_size_t),
        ("ordblks", ctypes.c_size_t),
        ("smblks", ctypes.c_size_t),
        ("hblks", ctypes.c_size_t),
        ("hblkhd", ctypes.c_size_t),
        ("usmblks", ctypes.c_size_t),
        ("fsmblks", ctypes.c_size_t),
        ("uordblks", ctypes.c_size_t),
        ("fordblks", ctypes.c_size_t),
        ("keepcost", ctypes.c_size_t),
    )


def _version(program: ctypes.CDLL) -> str:
    return (os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc ")


def _mallinfo2(program: ctypes.CDLL) -> _Mallinfo2:
    """Return the figures of all arenas. AttributeError before glibc 2.33."""
    found: _Mallinfo2 = function(program, "mallinfo2", _Mallinfo2)()  # type: ignore[assignment]
    return found


def _allocated(found: _Mallinfo2) -> int:
    """Return what is not free: blocks in the arenas, those in the caches of threads among them, and mapped ones."""
    return int(found.uordblks + found.hblkhd)


def _serves(program: ctypes.CDLL, malloc: Callable[[int], int]) -> bool:
    if not hasattr(program, "mallinfo2"):
        return True  # an older one: that its malloc is the one called has been seen
    return sees(lambda: _allocated(_mallinfo2(program)), malloc)


def _heap(program: ctypes.CDLL) -> Heap:
    found = _mallinfo2(program)
    return Heap(
        allocated=_allocated(found),
        active=int(found.arena + found.hblkhd),
        resident="glibc does not count what of its heap is in memory",
        retained="glibc does not count what it has given back",
    )


GLIBC = Malloc("glibc", (), "libc6", _version, _serves, _heap)
