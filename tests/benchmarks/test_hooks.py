"""What counting costs each allocation, beside tracemalloc, which does as much and more, in the same run."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable
from itertools import repeat

import pytest

from cyx.hooks import Counter

NUMBER = 20_000
ROUNDS = 101
MOST_NS = 40
"""For each allocation, its free included, on a quiet machine."""


def come_and_go(make: Callable[[], object] = object) -> None:
    """Make objects, each dropped before the next."""
    for _ in repeat(None, NUMBER):
        make()


def stay(make: Callable[[], object] = object) -> None:
    """Make objects that are dropped together."""
    [make() for _ in repeat(None, NUMBER)]


def nanoseconds(work: Callable[[], None]) -> float:
    """Return the time of one allocation and its free, once the caches are those of this work."""
    work()
    begin = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - begin) / NUMBER


@pytest.mark.parametrize("work", [come_and_go, stay])
def test_counting(work: Callable[[], None]) -> None:
    """It costs less than tracemalloc; the figures are printed, medians of interleaved rounds."""
    with Counter():
        pass
    times: dict[str, list[float]] = {"idle hooks": [], "counting": [], "tracemalloc": []}
    gc.disable()
    try:
        for _ in range(ROUNDS):
            times["idle hooks"].append(nanoseconds(work))
            with Counter():
                times["counting"].append(nanoseconds(work))
            tracemalloc.start()
            times["tracemalloc"].append(nanoseconds(work))
            tracemalloc.stop()
    finally:
        gc.enable()
    medians = {name: statistics.median(each) for name, each in times.items()}
    idle = medians["idle hooks"]
    added = {name: median - idle for name, median in medians.items() if name != "idle hooks"}
    shares = added["counting"] / MOST_NS, added["counting"] / added["tracemalloc"]
    print(f"\n{work.__name__}: {idle:.0f} ns an object and its free, {added['counting']:.0f} more while counting")
    print(f"{shares[0]:.2f} of {MOST_NS} ns, and {shares[1]:.2f} of what tracemalloc adds")

    assert added["counting"] < added["tracemalloc"]
