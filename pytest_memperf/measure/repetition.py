"""A call repeated with more and more calls, until what it keeps grows for good or no more."""

from __future__ import annotations

import itertools
import mmap
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping

from pytest_memperf.measure.leak import Growth, Leak
from pytest_memperf.measure.retained import MAPPED, WITNESSES, Retained, mappings, room, size_classes
from pytest_memperf.measure.trend import LEVELS, STEPS, Level, Trend, trend_of
from pytest_memperf.model.units import Number

ENOUGH_CALLS = 100_000
ENOUGH_SECONDS = 1.0
"""No verdict comes before these calls or such a time of calls."""
FULL = 2_000
"""Nor is anything called a leak before these calls, while there is time: a cache grows like one till it is full."""
LARGEST_JUMP = 8
FIRST_STEP = ENOUGH_CALLS // (STEPS * (2**LEVELS - 1))
"""Up to which a step may be more than twice the last one, where readings take longer than calls."""
MOST_MAPPINGS = 32_000
"""Half of what the kernel lets a process have (vm.max_map_count)."""
MOST_LEVELS = 48
READINGS = STEPS + 1
"""Of a level."""
LARGEST_CLASSES = 3
"""Sizes of blocks that are named."""
FEW_BLOCKS = 4
FEW_PER_CALL = 0.01
"""Growth of a size that is not named."""


def find_leak(call: Callable[[], object], limits: Mapping[str, Number], seconds: float) -> Leak:
    """Repeat the call in this process, which is a fork that ends afterwards, until all limits are judged.

    Args:
        call: what is repeated; what it returns is dropped.
        limits: the growth per call that each metric may have.
        seconds: after which it is left at what is certain by then.
    """
    return _Trial(call, limits, seconds).run()


class _Trial:
    """One call on its way through the levels. What it keeps of them lies in arrays that are made beforehand."""

    def __init__(self, call: Callable[[], object], limits: Mapping[str, Number], seconds: float) -> None:
        self._call = call
        self._limits = limits
        self._began = time.monotonic()
        self._end = self._began + seconds
        call()  # what it imports and sets up at first is there before the heaps are settled
        self._readings = array("q", bytes(8 * MOST_LEVELS * READINGS * len(WITNESSES)))
        self._steps = array("q", bytes(8 * MOST_LEVELS))
        self._done = 0
        self._calls = 1
        self._calling = 0.0
        self._cut_short = ""
        self._room = room()
        self._retained = Retained()
        self._start = array("q", self._retained.values)
        self._mappings = mappings()

    def run(self) -> Leak:
        """Go on until enough is certain, and say what was found."""
        step = 1
        while step and self._level(step) and not self._is_judged():
            step = self._next(step)
        trends = [self._trend(i) for i in range(len(WITNESSES))]
        seconds = time.monotonic() - self._began
        calls = self._calls
        leaks = any(self._exceeds(i, trend) for i, trend in enumerate(trends))
        classes, classes_calls = self._growing_classes() if leaks else ({}, 1)
        return Leak(
            tuple(
                Growth(witness, tuple(self._levels(i)), trends[i], self._retained.reasons.get(i, ""))
                for i, witness in enumerate(WITNESSES)
            ),
            calls,
            seconds,
            self._cut_short,
            classes,
            classes_calls,
        )

    def _level(self, step: int) -> bool:
        """Go through a level; False where it could not be finished, for time or for room."""
        for place in range(READINGS):
            if place:
                self._repeat(step)
            self._retained.read()
            begin = (self._done * READINGS + place) * len(WITNESSES)
            self._readings[begin : begin + len(WITNESSES)] = self._retained.values
            if place == STEPS:
                break
            self._cut_short = self._full()
            if self._cut_short or time.monotonic() > self._end:
                return False
        self._steps[self._done] = step
        self._done += 1
        return True

    def _repeat(self, times: int) -> None:
        call = self._call
        began = time.monotonic()
        for _ in itertools.repeat(None, times):
            call()
        self._calling += time.monotonic() - began
        self._calls += times

    def _levels(self, i: int, last: int = MOST_LEVELS) -> list[Level]:
        """Return a witness's levels, no more than the last so many."""
        size = len(WITNESSES)
        per_level = READINGS * size
        return [
            Level(self._steps[n], tuple(self._readings[n * per_level + i : (n + 1) * per_level : size]))
            for n in range(max(0, self._done - last), self._done)
        ]

    def _full(self) -> str:
        """Return what has no room for more, or nothing."""
        for i, most in self._room.items():
            grown = self._retained.values[i] - self._start[i]
            if grown > most:
                return f"{WITNESSES[i].name} had grown by {WITNESSES[i].unit.format(grown)}"
        return ""

    def _next(self, step: int) -> int:
        """Return the calls of the next level's steps: twice as many or more, or what there is room for; 0 for none."""
        if time.monotonic() > self._end or self._done == MOST_LEVELS:
            return 0
        reading = time.monotonic() - self._began - self._calling
        jump = min(LARGEST_JUMP, int(reading / max(self._calling, 1e-6))) * step
        for following in (max(2 * step, min(jump, FIRST_STEP)), 2 * step, step):
            self._cut_short = self._too_many(following * STEPS)
            if not self._cut_short:
                return following
        return 0

    def _too_many(self, calls: int) -> str:
        """Return what would have no room after so many calls more, as the last level grew, or nothing."""
        for i, most in self._room.items():
            (level,) = self._levels(i, 1)
            grown = self._retained.values[i] - self._start[i]
            slope = level.growth / level.all_calls
            if slope > 0 and grown + slope * calls > most:
                return f"{WITNESSES[i].name} had grown by {WITNESSES[i].unit.format(grown)}"
            if i == MAPPED and slope >= mmap.PAGESIZE:
                found = mappings()
                if found + max(0, found - self._mappings) / self._calls * calls > MOST_MAPPINGS:
                    return f"there were {found:,} mappings"
        return ""

    def _trend(self, i: int) -> Trend:
        witness = WITNESSES[i]
        return trend_of(self._levels(i), witness.floor, witness.finest, witness.lump, bool(self._cut_short))

    def _exceeds(self, i: int, trend: Trend) -> bool:
        limit = self._limits.get(WITNESSES[i].metric)
        return limit is not None and i not in self._retained.reasons and trend.exceeds(limit)

    def _is_judged(self) -> bool:
        """Tell whether enough calls were made, and each limit is kept or one is exceeded."""
        if self._calls < ENOUGH_CALLS and self._calling < ENOUGH_SECONDS:
            return False
        trends = {
            i: self._trend(i)
            for i, witness in enumerate(WITNESSES)
            if witness.metric in self._limits and i not in self._retained.reasons
        }
        if any(self._exceeds(i, trend) for i, trend in trends.items()):
            return self._calls >= FULL
        return all(trend.is_within(self._limits[WITNESSES[i].metric]) for i, trend in trends.items())

    def _growing_classes(self) -> tuple[dict[str, int], int]:
        """Return the sizes of blocks that more calls leave more of, the most first, and how many calls those were."""
        calls = max(1, self._steps[max(0, self._done - 1)])
        first = size_classes()
        before = size_classes()  # in which the first one is counted, as this one is in the next
        self._repeat(calls)
        self._retained.read()
        after = size_classes()
        grown = Counter({name: count + first.get(name, 0) - 2 * before.get(name, 0) for name, count in after.items()})
        few = max(FEW_BLOCKS, calls * FEW_PER_CALL)
        return {name: count for name, count in grown.most_common(LARGEST_CLASSES) if count > few}, calls
