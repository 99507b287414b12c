"""The verdict over one metric of one test: base and head by their values, or head by a band of earlier runs.

A metric of a child that starts from a settled heap is compared by value: it changed where both sides' intervals lie
apart by more than the floor. What depends on the tests before it, on the whole process or on the machine's other
programs is compared with a band of the base's runs; a few of them tell nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_memperf.baseline.paired import SMALLEST
from pytest_memperf.model.comparison import Change, Side, direction
from pytest_memperf.model.metric import Measured, Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import Number

SHARE = 0.005
"""Of the value, where a metric has a floor: what lies below is taken for no change."""
ONE_LAYOUT = 4
"""A single layout of memory is one of many: floor and share are so many times as large."""
BAND = 6
"""Runs of the base that make a band of counts and bytes."""
NOISY_BAND = 20
"""Runs that make one of times: fewer leave a good chance that the next run lies outside of them."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, the sides it is over, and what it rests on."""

    change: Change
    reason: str
    base: Side | None = None
    head: Side | None = None
    smallest: Number | None = None


def judge(base: Sequence[Measured], head: Measured, ours: Result, theirs: Result) -> Judgement:
    """Return the verdict over a metric.

    Args:
        base: what the base's runs measured, the one to compare with first.
        ours: the result that this one is of.
        theirs: that of head.
    """
    if two_values_tell(head.metric, theirs.isolation):
        return _by_value(base[0], head, 1 in (ours.layouts, theirs.layouts))
    return _by_band(base, head, theirs.isolation)


def two_values_tell(metric: Metric, isolation: str) -> bool:
    """Tell whether two values of the metric are enough to tell a change."""
    return metric.trust is not Trust.NOISY and isolation == "process" and not metric.level


def smallest_of_several(metric: Metric, value: Number) -> Number:
    """Return the smallest change from this value that is worth a word, where two values do not tell one."""
    if metric.trust is Trust.NOISY:
        return SMALLEST * abs(value)
    return max(metric.floor, SHARE * abs(value)) * ONE_LAYOUT


def side(measured: Measured) -> Side:
    """Return the interval of all samples and of the uncertainty round their median."""
    return Side(measured.value, *measured.interval)


def _by_value(base: Measured, head: Measured, one_layout: bool) -> Judgement:
    """Compare two intervals."""
    metric = head.metric
    ours, theirs = side(base), side(head)
    times = ONE_LAYOUT if one_layout else 1
    floor = max(metric.floor, SHARE * abs(ours.value)) * times if metric.floor else 0
    gap = _gap(ours, theirs)
    up, down = _smallest(ours, theirs, floor)
    if gap <= floor:
        return Judgement(Change.SAME, "", ours, theirs, max(up, down))
    reason = f"apart by {metric.unit.format(gap)}, of which a layout explains {metric.unit.format(floor)}"
    more = theirs.value > ours.value
    return Judgement(direction(metric, more), reason if floor else "", ours, theirs, up if more else down)


def _by_band(base: Sequence[Measured], head: Measured, isolation: str) -> Judgement:
    """Compare an interval with those of several runs."""
    metric = head.metric
    sides = [side(measured) for measured in base]
    low, high = min(each.low for each in sides), max(each.high for each in sides)
    ours, theirs = Side(sides[0].value, low, high), side(head)
    noisy = metric.trust is Trust.NOISY
    needed = NOISY_BAND if noisy else BAND
    if len(sides) < needed:
        why = why_several(metric, isolation)
        reason = (
            f"{why}; a band takes {needed} runs of the base, {len(sides)} {'is' if len(sides) == 1 else 'are'} there"
        )
        return Judgement(Change.UNSURE, reason, ours, theirs)
    margin = high - low + smallest_of_several(metric, ours.value)
    gap = _gap(ours, theirs)
    up, down = _smallest(ours, theirs, margin)
    if gap <= margin:
        return Judgement(Change.SAME, "", ours, theirs, max(up, down))
    reason = (
        f"outside of {len(sides)} runs by {metric.unit.format(gap)}, their range is {metric.unit.format(high - low)}"
    )
    more = theirs.value > ours.value
    return Judgement(direction(metric, more), reason, ours, theirs, up if more else down)


def _gap(ours: Side, theirs: Side) -> Number:
    """Return how far the intervals lie apart; negative where they overlap."""
    return max(theirs.low - ours.high, ours.low - theirs.high)


def _smallest(ours: Side, theirs: Side, margin: Number) -> tuple[Number, Number]:
    """Return the difference of the values from which on it is a change: upwards, and downwards."""
    return (
        margin + ours.high - ours.value + theirs.value - theirs.low,
        margin + ours.value - ours.low + theirs.high - theirs.value,
    )


def why_several(metric: Metric, isolation: str) -> str:
    """Return why a comparison of two values would cry wolf."""
    if metric.trust is Trust.NOISY:
        return "noisy"
    if metric.level:
        return "moved by all that is loaded"
    return f"{isolation}: it depends on the tests before"
