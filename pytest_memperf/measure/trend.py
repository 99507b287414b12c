"""Whether a count that is read between calls grows with them for good, has come to its end, or cannot be told yet."""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

STEPS = 8
"""Readings of a level after its first one."""
LEVELS = 3
"""The last ones, in which a growth must go on: each has twice the calls of the one before."""
SURE = 5.0
"""How many standard errors above 0 the growth of the last level has to be: by chance once in 1,000 (t, 7 degrees)."""
WITHIN = 3.0
"""Standard errors that a growth per call is told with: 98 of 100 lie within (t, 7 degrees)."""
ALIKE = 2.0
"""By what factor the growth per call may differ between the levels."""
IN_PROPORTION = 2.0
"""By what factor the last level has to grow more than the first where growth comes in few lumps, as of a table."""


class Course(str, enum.Enum):
    """What becomes of it with more calls."""

    GROWS = "grows"
    ENDS = "does not grow"
    UNSURE = "not certain"


@dataclass(frozen=True, slots=True)
class Level:
    """So many steps of so many calls each, and the reading before the first and after each."""

    calls: int
    """Of one step."""
    values: tuple[int, ...]

    @property
    def growth(self) -> int:
        """From the first reading to the last."""
        return self.values[-1] - self.values[0]

    @property
    def all_calls(self) -> int:
        """Of all its steps."""
        return self.calls * (len(self.values) - 1)

    @property
    def fall(self) -> int:
        """By how much it fell below an earlier reading at most: how far it swings up and down."""
        highest = itertools.accumulate(self.values, max)
        return max(high - value for high, value in zip(highest, self.values, strict=True))

    @property
    def error(self) -> float:
        """The standard error of the growth of one step."""
        steps = [after - before for before, after in itertools.pairwise(self.values)]
        return stdev(steps) / math.sqrt(len(steps))


@dataclass(frozen=True, slots=True)
class Trend:
    """A course, and the growth per call with its uncertainty; where it is not certain, the most it could be."""

    course: Course
    slope: float
    uncertainty: float

    def exceeds(self, limit: float) -> bool:
        """Tell whether it grows by more than this per call beyond doubt."""
        return self.course is Course.GROWS and self.slope - self.uncertainty > limit

    def is_within(self, limit: float) -> bool:
        """Tell whether it grows by no more than this per call beyond doubt."""
        if self.course is Course.UNSURE:
            return self.slope + self.uncertainty <= limit
        return not self.exceeds(limit)


def trend_of(
    levels: Sequence[Level], floor: float, finest: float, lump: float = math.inf, cut_short: bool = False
) -> Trend:
    """Return what the levels say.

    Args:
        levels: each with twice the calls of the one before, or as many where more would do harm.
        floor: what comes and goes, whatever the number of calls.
        finest: the smallest growth per call of interest: in a level of few calls the floor is no more than they make.
        lump: how much the last level has to grow for a growth by few large lumps.
        cut_short: whether more calls would do harm: what grew so far is all that will ever be seen.
    """
    last = levels[-LEVELS:]
    if not last:
        return Trend(Course.UNSURE, 0.0, math.inf)
    level = last[-1]
    slope, error = level.growth / level.all_calls, level.error / level.calls
    highest = max((value for each in levels[:-1] for value in each.values), default=level.values[0])
    beyond = max(0, max(level.values) - highest)
    least = min(floor, finest * level.all_calls)
    # What swings comes to new heights by chance, but by no more than a part of how far it swings.
    swing = min(max(floor, level.fall / 2), finest * level.all_calls)
    unsure = Trend(Course.UNSURE, max(0.0, slope), max(SURE * error, beyond / level.all_calls - max(0.0, slope)))
    too_few = Trend(Course.UNSURE, max(0.0, slope), math.inf)
    if len(levels) < LEVELS and not cut_short:
        return too_few
    if _steady(last):
        return Trend(Course.GROWS, slope, WITHIN * error) if level.growth > least else unsure
    if len(levels) < LEVELS:
        return too_few
    if _in_lumps(last) and level.growth >= lump:
        slope = sum(each.growth for each in last) / sum(each.all_calls for each in last)
        return Trend(Course.GROWS, slope, slope / 2)
    return Trend(Course.ENDS, 0.0, beyond / level.all_calls) if beyond <= swing else unsure


def _steady(levels: Sequence[Level]) -> bool:
    """Tell whether each grew as the calls did, the last beyond doubt."""
    slopes = [level.growth / level.all_calls for level in levels]
    step = levels[-1].growth / (len(levels[-1].values) - 1)
    return step > SURE * levels[-1].error and min(slopes) > 0 and max(slopes) <= ALIKE * min(slopes)


def _in_lumps(levels: Sequence[Level]) -> bool:
    """Tell whether each grew, none by less than the one before, and the last by clearly more, as it has more calls."""
    growths = [level.growth for level in levels]
    return growths[0] > 0 and growths == sorted(growths) and growths[-1] >= IN_PROPORTION * growths[0]
