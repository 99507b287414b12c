"""tcmalloc of gperftools: the functions for C of its MallocExtension (malloc_extension_c.h)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from pytest_memperf.malloc.calls import function
from pytest_memperf.malloc.library import Heap, Malloc
from pytest_memperf.malloc.statistics import sees


def _version(program: ctypes.CDLL) -> str:
    ask = function(program, "tc_version", ctypes.c_char_p, *[ctypes.c_void_p] * 3)
    text: bytes = ask(None, None, None)  # type: ignore[assignment]
    return text.decode().removeprefix("gperftools ")


def _serves(program: ctypes.CDLL, malloc: Callable[[int], int]) -> bool:
    return sees(lambda: _property(program, "generic.current_allocated_bytes"), malloc)


def _property(program: ctypes.CDLL, name: str) -> int:
    """Return a figure by its name. OSError where there is none."""
    size = ctypes.c_size_t()
    ask = function(program, "MallocExtension_GetNumericProperty", ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
    if not ask(name.encode(), ctypes.byref(size)):
        raise OSError(f"tcmalloc does not tell its {name}")
    return size.value


def _heap(program: ctypes.CDLL) -> Heap:
    size = _property(program, "generic.heap_size")
    unmapped = _property(program, "tcmalloc.pageheap_unmapped_bytes")
    return Heap(
        allocated=_property(program, "generic.current_allocated_bytes"),
        active=size - _property(program, "tcmalloc.pageheap_free_bytes") - unmapped,
        resident=size - unmapped,
        retained=unmapped,
    )


def _purge(program: ctypes.CDLL) -> Callable[[], object]:
    flush = function(program, "MallocExtension_MarkThreadIdle", None)
    release = function(program, "MallocExtension_ReleaseFreeMemory", None)

    def purge() -> None:
        flush()  # its cache goes to the page heap, and from there to the system
        release()

    return purge


TCMALLOC = Malloc(
    "tcmalloc",
    ("libtcmalloc_minimal.so.4", "libtcmalloc.so.4", "libtcmalloc_minimal.so", "libtcmalloc.so"),
    "libtcmalloc-minimal4",
    _version,
    _serves,
    _heap,
    _purge,
)
