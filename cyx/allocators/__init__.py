"""Allocators of our own: pool, slab, buddy, frame and ring, with one interface for Python and for C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cyx.allocators.allocator import Allocator, Corruption
from cyx.allocators.buddy import Buddy
from cyx.allocators.frame import Frame
from cyx.allocators.pool import Pool
from cyx.allocators.ring import Ring
from cyx.allocators.slab import Slab
from cyx.allocators.statistics import SizeClass, Statistics

__all__ = [
    "BY_NAME",
    "Allocator",
    "Buddy",
    "Corruption",
    "Frame",
    "Pool",
    "Ring",
    "SizeClass",
    "Slab",
    "Statistics",
    "get_include",
]

BY_NAME: dict[str, Callable[[], Allocator]] = {"slab": Slab, "buddy": Buddy, "frame": Frame}
"""Those that can be made without arguments, and serve any size."""


def get_include() -> str:
    """Return the folder of the C headers, for the compiler of Cython code that cimports from here."""
    return str(Path(__file__).parent)
