"""One test over the saved runs: a value for each run, and the steps from one level to another.

Values that can be judged by themselves are held to the first run of their level, so that a slow creep becomes a step
as well. What only several runs can tell goes to ``change_points``, and so does a count that will not repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from pytest_memperf.baseline.compatibility import differences
from pytest_memperf.baseline.judging import judge, smallest_of_several, two_values_tell, why_several
from pytest_memperf.model.comparison import Change, direction
from pytest_memperf.model.metric import Measured, Metric, Trust
from pytest_memperf.model.result import Key, Result
from pytest_memperf.model.run import Run
from pytest_memperf.model.units import Number

if TYPE_CHECKING:
    from pytest_memperf.baseline.change_points import ChangePoint

RESTLESS = 8
"""Runs of which, where more than one in four differs from the ones before, the test does not repeat its counts."""
_STEPS = (Change.WORSE, Change.BETTER, Change.CHANGED)


@dataclass(frozen=True, slots=True)
class Point:
    """A metric in one run."""

    number: int
    """Of the run in its store."""
    run: Run
    result: Result
    measured: Measured
    apart: str = ""
    """Why the runs before it are no measure for it, where it is the first of its environment: another kernel, say."""


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the level."""

    change: Change
    reason: str
    """The verdict in words."""
    last: Point
    """Of the level before."""
    first: Point
    """Of the level after: of the first bad commit, where it is worse."""
    before: Number
    after: Number
    """The levels."""
    earliest: Point
    latest: Point
    """Between which the first one lies beyond reasonable doubt; itself, where one value is enough to tell."""


@dataclass(slots=True)
class Series:
    """A metric of one window of one test over the runs, in their order."""

    key: Key
    metric: Metric
    points: list[Point] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    untold: str = ""
    """Why no steps were looked for among some of the points."""


def series(runs: Iterable[tuple[int, Run]], test: str) -> Iterator[Series]:
    """Yield a series for each metric of each window of the tests whose id this text is, or is a part of.

    Args:
        runs: with their numbers, in order.
    """
    found: dict[tuple[Key, str], Series] = {}
    environments: dict[tuple[Key, str], list[list[Point]]] = {}
    taken = [(number, run, [each for each in run.results if test in each.test]) for number, run in runs]
    exact = any(each.test == test for _, _, results in taken for each in results)
    for number, run, results in taken:
        for result in results:
            if (exact and result.test != test) or result.perturbed:
                continue
            for name, measured in result.metrics.items():
                of = (result.key, name)
                line = found.setdefault(of, Series(result.key, measured.metric))
                line.points.append(_join(environments.setdefault(of, []), number, run, result, measured))
    for of, line in found.items():
        for points in environments[of]:
            _find_steps(line, points)
        places = {id(point): place for place, point in enumerate(line.points)}
        line.steps.sort(key=lambda step: places[id(step.first)])
        yield line


def _join(environments: list[list[Point]], number: int, run: Run, result: Result, measured: Measured) -> Point:
    """Return the point, added to those that it can be compared with."""
    reason = ""
    for points in reversed(environments):
        last = points[-1]
        apart = differences(last.run.environment, run.environment).reason(measured.metric.trust)
        if not apart and last.measured.metric.unit.name != measured.metric.unit.name:
            apart = f"unit {last.measured.metric.unit.name} and {measured.metric.unit.name}"
        if not apart:
            point = Point(number, run, result, measured)
            points.append(point)
            return point
        reason = reason or apart
    point = Point(number, run, result, measured, reason)
    environments.append([point])
    return point


def _find_steps(line: Series, points: Sequence[Point]) -> None:
    """Add the steps among points that can be compared, or the reason why there are none."""
    why = why_several(line.metric, line.key.isolation)
    if two_values_tell(line.metric, line.key.isolation):
        steps = list(_by_value(points))
        if len(points) < RESTLESS or 4 * len(steps) <= len(points):
            line.steps += steps
            return
        why = "it differs from run to run"
    from pytest_memperf.baseline import change_points  # and NumPy, which no other command needs

    if len(points) < change_points.LEAST:
        there = f"{len(points)} {'is' if len(points) == 1 else 'are'} there"
        line.untold = f"{why}; change points take {change_points.LEAST} runs, {there}"
        return
    try:
        found = change_points.find([point.measured.value for point in points], _smallest(line.metric, points))
    except change_points.MissingExtra as missing:
        line.untold = f"{why}; change points take: {missing}"
        return
    line.steps += [_step(points, each) for each in found]


def _by_value(points: Sequence[Point]) -> Iterator[Step]:
    """Yield the points that differ from the first one of their level."""
    level = points[0]
    for last, point in pairwise(points):
        found = judge([level.measured], point.measured, level.result, point.result)
        if found.change in _STEPS:
            before, after = level.measured.value, point.measured.value
            yield Step(found.change, found.reason, last, point, before, after, point, point)
            level = point


def _smallest(metric: Metric, points: Sequence[Point]) -> Callable[[float], float]:
    """Return what tells the smallest change of a level that counts."""
    # A time's uncertainty is the spread of its rounds, which the spread of the runs holds already.
    doubt = 0 if metric.trust is Trust.NOISY else 2 * median(point.measured.uncertainty for point in points)
    return lambda level: smallest_of_several(metric, level) + doubt


def _step(points: Sequence[Point], found: ChangePoint) -> Step:
    """Return the change of a level among many values."""
    metric = points[0].measured.metric
    before, after = metric.unit.format(found.before), metric.unit.format(found.after)
    return Step(
        direction(metric, found.after > found.before),
        f"{before} in the runs before, {after} since",
        points[found.place - 1],
        points[found.place],
        found.before,
        found.after,
        points[found.earliest],
        points[found.latest],
    )
