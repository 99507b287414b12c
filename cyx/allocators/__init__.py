"""Allocators of our own: pool, frame, buddy and ring, with one interface for Python and for C."""

from __future__ import annotations

from pathlib import Path

from cyx.allocators.allocator import Allocator, Corruption
from cyx.allocators.buddy import Buddy
from cyx.allocators.frame import Frame
from cyx.allocators.pool import Pool
from cyx.allocators.ring import Ring
from cyx.allocators.statistics import SizeClass, Statistics

__all__ = ["Allocator", "Buddy", "Corruption", "Frame", "Pool", "Ring", "SizeClass", "Statistics", "get_include"]


def get_include() -> str:
    """Return the folder of the C headers, for the compiler of Cython code that cimports from here."""
    return str(Path(__file__).parent)
