"""Results of two files that differ in their numbers alone: compared by these, many at once, without an object for each.

Lines of one shape differ in their tests and their numbers. So the comparison of one of them tells of all which metrics
the values decide, and what is said of the others; and of the values few differ by what has to be told.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING

from pytest_memperf.baseline.judging import ONE_LAYOUT, SHARE, judge
from pytest_memperf.model.comparison import TOLD_APART, Change, Comparison, Several
from pytest_memperf.model.metric import Measured, Metric
from pytest_memperf.model.result import Key, Result
from pytest_memperf.report.result_lines import ByKey, MetricSlots, ResultLines

if TYPE_CHECKING:
    from numpy import bool_, float64
    from numpy.typing import NDArray

LEAST = 100
"""Results of a kind from which on it pays; fewer are compared one by one, without NumPy."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Results that have one shape in base, and one in head."""

    keys: list[Key] = field(default_factory=list)
    ours: array[int] = field(default_factory=lambda: array("q"))
    """Which of its shape's lines each is, in base."""
    theirs: array[int] = field(default_factory=lambda: array("q"))


def alike(
    base: Mapping[Key, Result], head: Mapping[Key, Result], compare: Callable[[Result], Iterable[Comparison]]
) -> list[Alike]:
    """Return the results of head that are like another one, which is not among them.

    Args:
        base: the only run that there is to compare with.
        compare: compares a result of head.
    """
    found: list[Alike] = []
    if not (isinstance(base, ByKey) and isinstance(head, ByKey)):
        return found
    for (ours, theirs), group in _groups(base.lines, head.lines).items():
        if len(group.keys) < LEAST:
            continue
        first = base[group.keys[0]], head[group.keys[0]]
        told = list(compare(first[1]))
        sides = _Numbers(base.lines, ours, group.ours), _Numbers(head.lines, theirs, group.theirs)
        decided = [each.metric for each in told if each.change in TOLD_APART and each.metric is not None]
        members = (sides[0].like_first & sides[1].like_first).tolist()
        members[0] = False
        different: dict[Key, _Row] = {}
        for metric in decided:
            for row in _different(metric, *sides, 1 in (first[0].layouts, first[1].layouts)):
                if members[row]:
                    different.setdefault(group.keys[row], _Row(row)).metrics.append(metric)
        found.append(Alike([*compress(group.keys, members)], first, told, sides, different))
    return found


def _groups(base: ResultLines, head: ResultLines) -> dict[tuple[int, int], _Group]:
    """Return the results that both have, by their shapes."""
    groups: dict[tuple[int, int], _Group] = {}
    for key, place in head.places.items():
        before = base.places.get(key, -1)
        if before < 0:
            continue
        shapes = base.shape_of[before], head.shape_of[place]
        if -1 in shapes:
            continue
        group = groups.get(shapes) or groups.setdefault(shapes, _Group())
        group.keys.append(key)
        group.ours.append(base.row_of[before])
        group.theirs.append(head.row_of[place])
    return groups


class _Numbers:
    """The numbers of lines of one shape, as columns.

    Args:
        shape: its number.
        rows: which of its lines.
    """

    def __init__(self, lines: ResultLines, shape: int, rows: array[int]) -> None:
        import numpy

        self._matrix = numpy.frombuffer(lines.shapes[shape].numbers).reshape(-1, lines.shapes[shape].width)
        self._rows = numpy.frombuffer(rows, dtype=numpy.int64)
        self._metrics, meaning = lines.slots(shape)
        self.like_first: NDArray[bool_] = (self._of(meaning) == self._of(meaning)[0]).all(axis=1)
        """Whether the numbers are the first one's that say what the others mean: layouts, floors."""

    def _of(self, slots: Sequence[int]) -> NDArray[float64]:
        return self._matrix[self._rows[:, None], list(slots)]

    def measured(self, metric: Metric, row: int) -> Measured:
        """Return one of them as an object; whole numbers are floats, which hold them as they are."""
        slots = self._metrics[metric.name]
        numbers = self._matrix[self._rows[row]]
        return Measured(metric, tuple(numbers[slots.samples].tolist()), float(numbers[slots.uncertainty]))

    def side(self, metric: str) -> tuple[NDArray[float64], NDArray[float64], NDArray[float64]]:
        """Return what ``judging.side`` does for each of them: the value, the low and the high end."""
        import numpy

        slots: MetricSlots = self._metrics[metric]
        samples, uncertainty = numpy.sort(self._of(slots.samples), axis=1), self._of([slots.uncertainty])[:, 0]
        half = len(slots.samples) // 2
        value = samples[:, half]
        if len(slots.samples) % 2 == 0:
            value = (samples[:, half - 1] + value) / 2
        return (
            value,
            numpy.minimum(value - uncertainty, samples[:, 0]),
            numpy.maximum(value + uncertainty, samples[:, -1]),
        )


def _different(metric: Metric, ours: _Numbers, theirs: _Numbers, one_layout: bool) -> list[int]:
    """Return the rows in which ``judging`` may find a difference by value; in no other it does."""
    import numpy

    with numpy.errstate(over="ignore", invalid="ignore"):
        value, low, high = ours.side(metric.name)
        _, lower, higher = theirs.side(metric.name)
        times = ONE_LAYOUT if one_layout else 1
        floor = numpy.maximum(metric.floor, SHARE * abs(value)) * times if metric.floor else 0
        same = numpy.maximum(lower - high, low - higher) <= floor  # not where that is no number
    rows: list[int] = numpy.flatnonzero(~same).tolist()
    return rows


@dataclass(frozen=True, slots=True)
class _Row:
    """Which of the sides' rows a result is, and the metrics in which it differs by value."""

    number: int
    metrics: list[Metric] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Alike:
    """Results of one shape in base and one in head."""

    keys: list[Key]
    first: tuple[Result, Result]
    """Another one, of base and of head, which they are like."""
    told: Sequence[Comparison]
    """What its comparison says."""
    sides: tuple[_Numbers, _Numbers]
    different: Mapping[Key, _Row]
    """Those of them that differ by value."""

    def by_values(self, key: Key) -> Iterator[Comparison]:
        """Yield what is said of one that differs by its values, but for what is the same."""
        row = self.different[key]
        for metric in row.metrics:
            ours, theirs = (side.measured(metric, row.number) for side in self.sides)
            of = judge([ours], theirs, *self.first)
            yield Comparison(key, metric, of.change, of.reason, of.base, of.head, of.smallest)

    def others(self) -> Iterator[Several]:
        """Yield what is said of all of them, whatever their values."""
        said: dict[tuple[Change, str], list[Metric]] = {}
        for each in self.told:
            if each.change not in TOLD_APART:
                metrics = said.setdefault((each.change, each.reason), [])
                metrics += [] if each.metric is None else [each.metric]
        for (change, reason), metrics in said.items():
            yield Several(self.keys, metrics, change, reason)

    @property
    def same(self) -> int:
        """How many comparisons of values find no difference."""
        by_value = sum(each.change in TOLD_APART for each in self.told)
        return by_value * len(self.keys) - sum(len(row.metrics) for row in self.different.values())
