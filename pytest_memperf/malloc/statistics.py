"""Whether a library's count of allocated bytes sees an allocation."""

from __future__ import annotations

from collections.abc import Callable

_SIZE = 3 * 2**20
"""Bytes to allocate: more than other threads do meanwhile."""


def sees(allocated: Callable[[], int], malloc: Callable[[int], int]) -> bool:
    """Tell whether the count grows with an allocation by at least its size.

    Args:
        allocated: returns the bytes that are allocated, by the library's count.
        malloc: allocates so many bytes, which are never freed.
    """
    before = allocated()
    malloc(_SIZE)
    return allocated() - before >= _SIZE
