"""What the tests of windows share: windows of the built-in metrics, and work of which the faults are known."""

from __future__ import annotations

import mmap
from typing import Any

from pytest_memperf.measure.settings import parse_settings
from pytest_memperf.measure.window import Window
from pytest_memperf.metrics import BUILT_IN, Registry

REGISTRY = Registry(BUILT_IN)


def touch(pages: int) -> int:
    """Write to this many fresh pages."""
    with mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1
    return pages


def window(**keywords: Any) -> Window:
    """Return a window with these settings that tells nobody of its end."""
    return Window("w", parse_settings(keywords, REGISTRY), REGISTRY)
