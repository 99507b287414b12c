"""Times and rates of an A/B run: which metrics of a test are to be judged, and what their pairs come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from pytest_memperf.baseline.paired import SMALLEST, Paired, discoveries, paired, pairs_needed
from pytest_memperf.model.comparison import Change, Comparison, Side, direction
from pytest_memperf.model.metric import Metric, Trust
from pytest_memperf.model.result import Key, Result
from pytest_memperf.model.units import SECONDS

FALSE_DISCOVERIES = 0.01
"""The share of alarms that may be false, over all tests of the run."""
LOOKS = 4
"""Pairs are added until they tell: looking again and again finds chance too, as if so many looked once."""
MOST_PAIRS = 48
SHORTEST = 0.005
"""Seconds that a window takes at least whose times are judged: of a shorter one the clock tells more than the code."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The samples of one noisy metric of one window, one by one."""

    key: Key
    metric: Metric
    base: tuple[float, ...]
    head: tuple[float, ...]

    @property
    def found(self) -> Paired:
        """What they tell."""
        return paired(self.base, self.head)

    @property
    def striking(self) -> bool:
        """Whether the first pairs point one way, or all ways: a reason to look closer."""
        ratios = sorted(theirs / ours for ours, theirs in zip(self.base, self.head, strict=True))
        middle = ratios[len(ratios) // 2]
        return not 1 / (1 + SMALLEST / 2) < middle < 1 + SMALLEST / 2 or ratios[-1] / ratios[0] > 1 + 2 * SMALLEST


def pairs_of(base: Sequence[Sequence[Result]], head: Sequence[Sequence[Result]]) -> Iterator[Pairs]:
    """Yield the noisy metrics that every run of both sides has.

    Args:
        base: the results of each run, in the order of the pairs.
    """
    ours, theirs = [_by_key(run) for run in base], [_by_key(run) for run in head]
    for key, first in theirs[0].items():
        if not all(key in run for run in (*ours, *theirs)):
            continue
        if max(median(_longest(run[key]) for run in runs) for runs in (ours, theirs)) < SHORTEST:
            continue
        for name, measured in first.metrics.items():
            if measured.metric.trust is Trust.NOISY and all(name in run[key].metrics for run in (*ours, *theirs)):
                values = [tuple(float(run[key].metrics[name].value) for run in runs) for runs in (ours, theirs)]
                if min(map(min, values)) > 0:
                    yield Pairs(key, measured.metric, *values)


def _by_key(results: Sequence[Result]) -> dict[Key, Result]:
    return {result.key: result for result in results}


def _longest(result: Result) -> float:
    """Return the largest of the times of a window, in seconds; 0 where it has none."""
    return max((float(each.value) for each in result.metrics.values() if each.metric.unit is SECONDS), default=0.0)


def is_asked(results: Sequence[Result], name: str) -> bool:
    """Tell whether the test has a budget on the metric, or asks for it."""
    return any(
        name in result.requested or any(check.budget.metric.name == name for check in result.checks)
        for result in results
    )


def level(metrics: int) -> float:
    """Return how improbable a difference has to be where so many metrics are looked at."""
    return FALSE_DISCOVERIES / (LOOKS * max(metrics, 1))


def comparisons(every: Sequence[Pairs], metrics: int) -> Iterator[Comparison]:
    """Yield the verdicts over the metrics of all tests together.

    Args:
        metrics: how many were looked at, those included that did not strike.
    """
    found = [pairs.found for pairs in every]
    padding = [1.0] * max(metrics - len(found), 0)
    real = discoveries([LOOKS * each.probability for each in found] + padding, FALSE_DISCOVERIES)
    for pairs, each, is_real in zip(every, found, real, strict=False):
        different = is_real and each.different(1.0)
        percent = f"{each.low - 1:+.1%} to {each.high - 1:+.1%}"
        if different:
            change, reason = direction(pairs.metric, each.ratio > 1), f"{percent} in {each.pairs} pairs"
        elif each.same:
            change, reason = Change.SAME, f"{percent} in {each.pairs} pairs, less than {SMALLEST:.0%} is no change"
        else:
            needed = pairs_needed(level(metrics))
            more = f"; it takes {needed} pairs or more" if each.pairs < needed else ""
            change, reason = Change.UNSURE, f"{percent} in {each.pairs} pairs tell neither{more}"
        sides = [Side(median(side), *quantiles(side, n=4)[::2]) for side in (pairs.base, pairs.head)]
        smallest = SMALLEST * sides[0].value
        yield Comparison(pairs.key, pairs.metric, change, reason, sides[0], sides[1], smallest)
