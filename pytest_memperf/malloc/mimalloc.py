"""mimalloc: it counts nothing in its release build, but knows its own blocks (mimalloc.h)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from pytest_memperf.malloc.calls import function
from pytest_memperf.malloc.library import Heap, Malloc


class _Area(ctypes.Structure):
    """The beginning of mi_heap_area_t: blocks of one size."""

    _fields_ = (
        ("blocks", ctypes.c_void_p),
        ("reserved", ctypes.c_size_t),
        ("committed", ctypes.c_size_t),
        ("used", ctypes.c_size_t),
        ("block_size", ctypes.c_size_t),
    )


_VISITOR = ctypes.CFUNCTYPE(
    ctypes.c_bool, ctypes.c_void_p, ctypes.POINTER(_Area), ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
)
"""mi_block_visit_fun."""


def _version(program: ctypes.CDLL) -> str:
    number = function(program, "mi_version", ctypes.c_int)()
    return f"{number // 100}.{number // 10 % 10}.{number % 10}"


def _serves(program: ctypes.CDLL, malloc: Callable[[int], int]) -> bool:
    is_own = function(program, "mi_is_in_heap_region", ctypes.c_bool, ctypes.c_void_p)
    return bool(is_own(malloc(1000)))


def _heap(program: ctypes.CDLL) -> Heap:
    """Visit the areas of the calling thread's heap: there is no count of all threads'."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return Heap(*[f"mimalloc tells of one thread's heap, and this process has {threads} threads"] * 4)
    if os.environ.get("PYTHONMALLOC", "").startswith("malloc"):
        return Heap(*["Python's own objects are in mimalloc's heap (PYTHONMALLOC), and a visit would change it"] * 4)
    sums = [0, 0]

    def visit(heap: int, area: ctypes._Pointer[_Area], block: int, size: int, argument: int) -> bool:
        found = area.contents
        sums[0] += found.used * found.block_size
        sums[1] += found.committed
        return True

    visitor = _VISITOR(visit)
    default = function(program, "mi_heap_get_default", ctypes.c_void_p)()
    go = function(
        program, "mi_heap_visit_blocks", ctypes.c_bool, ctypes.c_void_p, ctypes.c_bool, _VISITOR, ctypes.c_void_p
    )
    go(default, False, visitor, None)
    return Heap(
        allocated=sums[0],
        active=sums[1],
        resident="mimalloc does not count what of its heap is in memory",
        retained="mimalloc does not count what it has given back",
    )


def _purge(program: ctypes.CDLL) -> Callable[[], object]:
    collect = function(program, "mi_collect", None, ctypes.c_bool)
    return lambda: collect(True)


MIMALLOC = Malloc(
    "mimalloc",
    ("libmimalloc.so.2", "libmimalloc.so.2.0", "libmimalloc.so"),
    "libmimalloc2.0",
    _version,
    _serves,
    _heap,
    _purge,
)
