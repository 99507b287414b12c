"""What readings between calls say: growth for good, growth that ended, or nothing certain yet."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from pytest_memperf.measure.trend import STEPS, Course, Level, Trend, trend_of


def levels(count: Callable[[int], float], steps: tuple[int, ...] = (100, 200, 400, 800)) -> list[Level]:
    """Return the levels of a count that depends on the calls so far."""
    found, calls = [], 0
    for step in steps:
        found.append(Level(step, tuple(round(count(calls + step * i)) for i in range(STEPS + 1))))
        calls += step * STEPS
    return found


NOISE = [0, 5, -3, 8, -7, 2, 4, -6, 1, -2, 7, 3]


@pytest.mark.parametrize(
    ("count", "slope"),
    [
        (lambda calls: 5000 + calls, 1),
        (lambda calls: calls // 10, 0.1),
        (lambda calls: 16 * calls + 40 * NOISE[calls // 100 % 12], 16),
        (lambda calls: calls + 4096 * (calls > 300), 1),
        (lambda calls: min(calls, 500) + calls / 20, 0.05),
    ],
    ids=["one", "one in ten", "with noise", "beside something made once", "beside a cache that fills"],
)
def test_growth_for_good(count: Callable[[int], float], slope: float) -> None:
    """It is told with how much it is per call, within its uncertainty."""
    trend = trend_of(levels(count), floor=16, finest=0.02)

    assert trend.course is Course.GROWS
    assert trend.slope == pytest.approx(slope, abs=max(trend.uncertainty, 0.02 * slope))
    assert trend.exceeds(0)
    assert trend.exceeds(0.8 * slope)
    assert not trend.exceeds(1.2 * slope)


@pytest.mark.parametrize(
    "count",
    [
        lambda calls: 7000,
        lambda calls: min(calls, 4000),
        lambda calls: calls % 1000,
        lambda calls: 1000 + NOISE[calls // 100 % 12],
        lambda calls: -calls,
        lambda calls: 4000 * (1 - math.exp(-calls / 500)),
    ],
    ids=["none", "a cache that filled", "a buffer that empties", "noise", "less and less", "a cache filled by chance"],
)
def test_growth_that_ended(count: Callable[[int], float]) -> None:
    """It exceeds no limit, not even 0."""
    trend = trend_of(levels(count), floor=16, finest=0.02)

    assert trend.course is Course.ENDS
    assert trend.is_within(0)
    assert not trend.exceeds(0)


@pytest.mark.parametrize(
    "count",
    [lambda calls: min(calls, 8000), lambda calls: 1000 * (calls > 9000), lambda calls: calls // 2000],
    ids=["a cache that is just full", "one lump", "a few at the end"],
)
def test_nothing_certain(count: Callable[[int], float]) -> None:
    """It is neither within a limit of 0 nor over it, but within one that is far above."""
    trend = trend_of(levels(count), floor=0, finest=0)

    assert trend.course is Course.UNSURE
    assert not trend.is_within(0)
    assert not trend.exceeds(0)
    assert trend.is_within(100)


def test_a_table_that_doubles() -> None:
    """It grows for good where lumps count, by what it has grown in all; elsewhere it is not certain."""

    def count(calls: int) -> float:
        return float(100 * 2 ** math.ceil(math.log2(calls + 1)))

    grows = trend_of(levels(count), floor=16, finest=1, lump=1000)
    assert grows.course is Course.GROWS
    assert grows.slope - grows.uncertainty <= 100 * 2 <= 2 * (grows.slope + grows.uncertainty)
    assert trend_of(levels(count), floor=16, finest=1).course is Course.UNSURE


@pytest.mark.parametrize("many", [0, 1, 2])
def test_few_levels_are_not_enough(many: int) -> None:
    """Nothing is certain after them, unless more would do harm: then what was seen counts."""
    first = levels(lambda calls: float(calls))[:many]

    assert trend_of(first, 16, 0.02).course is Course.UNSURE
    assert not trend_of(first, 16, 0.02).is_within(1 - 1e-9)
    cut_short = trend_of(first, 16, 0.02, cut_short=True)
    assert cut_short.course is (Course.GROWS if many else Course.UNSURE)


@pytest.mark.parametrize(("growth", "course"), [(16, Course.UNSURE), (17, Course.GROWS)])
def test_growth_within_the_floor(growth: int, course: Course) -> None:
    """A growth that goes on is told only beyond what comes and goes anyway, and is not called none either."""
    found = levels(lambda calls: growth * calls / 6400)

    assert found[-1].growth == growth
    assert trend_of(found, floor=16, finest=1).course is course


def test_the_floor_is_small_where_calls_are_few() -> None:
    """Ten objects in 64 calls are no noise that may pass: one object in ten calls would leave as many."""

    def count(calls: int) -> float:
        return float(10 * (calls > 100))

    few = levels(count, (2, 4, 8))
    assert trend_of(few, floor=16, finest=0.02).course is Course.UNSURE
    assert trend_of(levels(lambda calls: 10.0 * (calls > 10_000)), floor=16, finest=0.02).course is Course.ENDS


@pytest.mark.parametrize(("more", "course"), [(0.0, Course.ENDS), (0.1, Course.UNSURE)])
def test_a_buffer_that_empties(more: float, course: Course) -> None:
    """What swings by 1,000 comes to new heights by chance: that is none of a leak, and hides no leak of one in ten."""
    found = levels(lambda calls: calls % 980 + more * calls)

    assert max(found[-1].values) > max(max(level.values) for level in found[:-1])
    assert trend_of(found, floor=16, finest=0.02).course is course


@pytest.mark.parametrize(
    ("limit", "exceeds", "within"), [(0.89, True, False), (0.9, False, True), (1, False, True), (2, False, True)]
)
def test_a_limit(limit: float, exceeds: bool, within: bool) -> None:
    """It is exceeded only where all of the uncertainty lies above it."""
    trend = Trend(Course.GROWS, 1.0, 0.1)
    assert (trend.exceeds(limit), trend.is_within(limit)) == (exceeds, within)
