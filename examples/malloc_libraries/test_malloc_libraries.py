"""Many blocks, NumPy's temporaries and a queue that empties, under four libraries for malloc. See README.md."""

from __future__ import annotations

import os
from random import Random
from typing import Any

import numpy
import pytest

BLOCKS = int(os.environ.get("MALLOC_LIBRARIES_BLOCKS", "1000000"))
BLOCK = 1024
ARRAYS = int(os.environ.get("MALLOC_LIBRARIES_ARRAYS", "200"))
NUMBERS = 200_000
MESSAGES = int(os.environ.get("MALLOC_LIBRARIES_MESSAGES", "100000"))
LONGEST = 2048
MIB = 1024 * 1024

pytestmark = pytest.mark.memperf_allocators("glibc", "jemalloc", "tcmalloc", "mimalloc")


@pytest.mark.memperf(max_peak_rss=1.25 * BLOCKS * (BLOCK + 56) + 8 * MIB)
def test_many_blocks(memperf: Any) -> None:
    """A million blocks of 1 KiB, held together and freed."""
    memperf(lambda: [bytearray(BLOCK - 1) for _ in range(BLOCKS)] and None)


@pytest.mark.memperf(max_peak_rss=4 * 8 * NUMBERS + 4 * MIB)
def test_temporaries(memperf: Any) -> None:
    """Arrays of 1.6 MB that live for a moment: whoever keeps their memory saves the kernel the faults."""

    def work() -> None:
        for _ in range(ARRAYS):
            numpy.ones(NUMBERS) + 1

    memperf(work)


def test_queue_that_empties(memperf: Any) -> None:
    """Messages of all lengths, of which nine in ten go, at random: what is left lies on nearly as many pages."""
    random = Random(1)
    lengths = [random.randrange(600, LONGEST) for _ in range(MESSAGES)]
    going = random.sample(range(MESSAGES), MESSAGES * 9 // 10)
    messages: list[bytearray | None] = []
    with memperf.window("filled", max_fragmentation="25%") as filled:
        messages += [bytearray(length) for length in lengths]
    with memperf.window("emptied", metrics=["heap_allocated", "heap_active", "fragmentation"]) as emptied:
        for number in going:
            messages[number] = None
    assert emptied.fragmentation > filled.fragmentation + 0.05
