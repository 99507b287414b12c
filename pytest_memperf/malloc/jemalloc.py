"""jemalloc: ``mallctl`` of jemalloc(3)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from pytest_memperf.malloc.calls import function
from pytest_memperf.malloc.library import Heap, Malloc
from pytest_memperf.malloc.statistics import sees


def _mallctl(program: ctypes.CDLL) -> Callable[..., int]:
    return function(program, "mallctl", ctypes.c_int, ctypes.c_char_p, *[ctypes.c_void_p] * 3, ctypes.c_size_t)


def _control(program: ctypes.CDLL, name: bytes, value: Any) -> None:
    """Read a value by its name. OSError where there is none."""
    size = ctypes.c_size_t(ctypes.sizeof(value))
    error = _mallctl(program)(name, ctypes.byref(value), ctypes.byref(size), None, 0)
    if error:
        raise OSError(error, f"jemalloc does not tell its {name.decode()}")


def _version(program: ctypes.CDLL) -> str:
    text = ctypes.c_char_p()
    _control(program, b"version", text)
    return (text.value or b"").decode().partition("-")[0]


def _serves(program: ctypes.CDLL, malloc: Callable[[int], int]) -> bool:
    # Of this thread: the count of the process is one of a moment before.
    def allocated() -> int:
        count = ctypes.c_uint64()
        _control(program, b"thread.allocated", count)
        return count.value

    return sees(allocated, malloc)


def _heap(program: ctypes.CDLL) -> Heap:
    _mallctl(program)(b"epoch", None, None, ctypes.byref(ctypes.c_uint64(1)), 8)  # the others are as of then
    return Heap(**{name: _size(program, f"stats.{name}") for name in ("allocated", "active", "resident", "retained")})


def _size(program: ctypes.CDLL, name: str) -> int:
    size = ctypes.c_size_t()
    _control(program, name.encode(), size)
    return size.value


def _purge(program: ctypes.CDLL) -> Callable[[], object]:
    act = _mallctl(program)

    def purge() -> None:
        act(b"thread.tcache.flush", None, None, None, 0)
        act(b"arena.4096.purge", None, None, None, 0)  # MALLCTL_ARENAS_ALL

    return purge


JEMALLOC = Malloc("jemalloc", ("libjemalloc.so.2", "libjemalloc.so"), "libjemalloc2", _version, _serves, _heap, _purge)
