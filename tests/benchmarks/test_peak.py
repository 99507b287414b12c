"""The peak of blocks that are freed again lies in its stated interval, and the interval is as narrow as promised.

The truth is known: a block of N pages that is written once and unmapped. Faults beyond N (the interpreter's own) may
add as many pages to it.
"""

from __future__ import annotations

import collections
import mmap
import os
import random
from collections.abc import Callable

import pytest

from cyx.patterns import fill
from cyx.probes import Interval
from cyx.probes.batches import batch_size

PAGE = mmap.PAGESIZE
SMALLEST, LARGEST = 64 * 1024, 256 << 20
CASES = int(os.environ.get("MEMPERF_PEAK_CASES", "3000"))
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
SHARED = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS


def block(pages: int, flags: int) -> None:
    """Map, write and unmap so many pages."""
    with mmap.mmap(-1, pages * PAGE, flags=flags) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        fill(memory)


def random_size(generator: random.Random, largest: int = LARGEST) -> int:
    """Return a number of pages, each order of magnitude as likely."""
    return round(SMALLEST * (largest / SMALLEST) ** generator.random()) // PAGE


class Tally:
    """What the cases came to."""

    def __init__(self) -> None:
        self.cases = 0
        self.outside: list[str] = []
        self.too_wide: list[str] = []
        self.widths: collections.Counter[str] = collections.Counter()

    def take(self, interval: Interval, pages: int, own: int) -> None:
        """Judge an interval round a peak of so many pages; ``own`` faults may have added to it."""
        low, high = (bound // PAGE for bound in interval.peak_bounds)
        types, cpus = interval.moved
        self.cases += 1
        self.widths[f"{'+'.join(types)} on {cpus} CPU: {high - low} pages"] += 1
        if not (low <= pages + max(0, own) and high >= pages):
            self.outside.append(f"{pages} (+ {own}) pages are not in {low} to {high}: {interval.moved}")
        if high - low > 2 * batch_size() * (os.cpu_count() or 1) * len(types):
            self.too_wide.append(f"{low} to {high}: {interval.moved}")

    def show(self, what: str) -> None:
        """Print the figures."""
        inside = self.cases - len(self.outside)
        print(f"\n{what}: {inside:,} of {self.cases:,} peaks lie in their interval, {len(self.too_wide)} are too wide")
        for width, count in self.widths.most_common(8):
            print(f"  {count:6,} x {width}")
        for line in self.outside[:10] + self.too_wide[:10]:
            print(f"  {line}")


def one_block(generator: random.Random, flags: int, tally: Tally) -> None:
    """Measure a block."""
    pages = random_size(generator)
    interval = Interval()
    interval.call(block, (pages, flags))
    tally.take(interval, pages, interval.minor_faults - pages)


def nested_blocks(generator: random.Random, flags: int, tally: Tally) -> None:
    """Measure a block within a window, and another one, or two after each other, within that."""
    first, second, third = (random_size(generator, LARGEST // 4) for _ in range(3))
    outer, inner, later = Interval(), Interval(), Interval()

    def both() -> None:
        with mmap.mmap(-1, first * PAGE, flags=flags) as memory:
            memory.madvise(mmap.MADV_NOHUGEPAGE)
            fill(memory)
            inner.call(block, (second, flags))
        later.call(block, (third, flags))

    outer.call(both)
    tally.take(inner, second, inner.minor_faults - second)
    tally.take(later, third, later.minor_faults - third)
    tally.take(outer, max(first + second, third), outer.minor_faults - first - second - third)


@pytest.mark.parametrize("flags", [PRIVATE, SHARED], ids=["private", "shared"])
@pytest.mark.parametrize(("case", "share"), [(one_block, 1), (nested_blocks, 3)], ids=["one", "nested"])
def test_peaks_lie_in_their_interval(
    case: Callable[[random.Random, int, Tally], None], share: int, flags: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of 3,000 random cases, nested ones likewise; at most two batches per CPU and moved type wide."""
    generator = random.Random(20)
    for _ in range(20):  # warm
        case(generator, flags, Tally())
    tally = Tally()
    while tally.cases < CASES:
        case(generator, flags, tally)
    with capsys.disabled():
        tally.show(f"{case.__name__}, {'private' if flags == PRIVATE else 'shared'} memory")
    assert not tally.outside
    assert not tally.too_wide


def test_pinned_peaks_are_one_batch_and_one_sided(capsys: pytest.CaptureFixture[str]) -> None:
    """In a pinned and drained child the interval of private memory is one batch wide.

    But for 1 in 200: an interrupt may part what the kernel counts in one step, and the interval says so by its width.
    """
    if (child := os.fork()) == 0:
        status = 1
        try:
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            generator = random.Random(21)
            for _ in range(20):
                one_block(generator, PRIVATE, Tally())
            tally = Tally()
            wide = 0
            for _ in range(CASES):
                pages = random_size(generator)
                interval = Interval()
                interval.drained = True
                interval.call(block, (pages, PRIVATE))
                own = interval.minor_faults - pages
                tally.take(interval, pages, own)
                low, high = interval.peak_bounds
                wide += high - low > batch_size() * PAGE and own == 0
            with capsys.disabled():
                tally.show("pinned and drained, private memory")
                print(f"  {wide} are wider than a batch")
            status = 1 if wide > CASES // 200 or tally.outside else 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
