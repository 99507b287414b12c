"""Whether ``memperf.scaling`` names the growth that a function has: planted ones of each class, in real forks.

``make bench`` repeats each 100 times; MEMPERF_BENCH=quick 10 times.
"""

from __future__ import annotations

import math
import mmap
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

REPETITIONS = 10 if os.environ.get("MEMPERF_BENCH") == "quick" else 100
SIZES = [16, 64, 256]
PAGES: dict[str, Callable[[int], float]] = {
    "O(1)": lambda size: 2048,
    "O(log n)": lambda size: 512 * math.log2(size),
    "O(n)": lambda size: 16 * size,
    "O(n log n)": lambda size: 4 * size * math.log2(size),
    "O(n**2)": lambda size: size**2 / 4,
}


@pytest.mark.parametrize("growth", PAGES)
def test_right_every_time(memperf: Any, capsys: pytest.CaptureFixture[str], growth: str) -> None:
    """A function that touches so many pages of memory of its own is of that class, by its faults and by its peak."""

    def planted(size: int) -> None:
        pages = round(PAGES[growth](size))
        with mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
            if hasattr(mmap, "MADV_NOHUGEPAGE"):
                memory.madvise(mmap.MADV_NOHUGEPAGE)
            for place in range(0, len(memory), mmap.PAGESIZE):
                memory[place] = 1

    found: Counter[tuple[str, str]] = Counter()
    for _ in range(REPETITIONS):
        growths = memperf.scaling(planted, over={"size": SIZES}, minor_faults="O(n**2)", peak_rss="O(n**2)")
        found[growths["minor_faults"].best.growth, growths["peak_rss"].best.growth] += 1
    with capsys.disabled():
        print(f"\n{growth}: {dict(found)}")
    assert found == {(growth, growth): REPETITIONS}
