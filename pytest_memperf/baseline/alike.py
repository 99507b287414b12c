"""Results of two files whose comparisons say the same: found by their numbers, many at once, no object for each.

Lines of one shape differ in their tests and their numbers alone. So the comparison of one of them tells of all which
metrics the values decide, and what is said of the others. Where the values say ``same`` too, all is said.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_memperf.baseline.judging import ONE_LAYOUT, SHARE
from pytest_memperf.model.comparison import TOLD_APART, Change, Comparison
from pytest_memperf.model.metric import Metric
from pytest_memperf.model.result import Key, Result
from pytest_memperf.report.result_lines import ByKey, MetricSlots, ResultLines

if TYPE_CHECKING:
    from numpy import bool_, float64
    from numpy.typing import NDArray

LEAST = 100
"""Results of a kind from which on it pays; fewer are compared one by one, without NumPy."""


@dataclass(slots=True)
class Alike:
    """Results whose comparisons say the same."""

    first: Key
    """The one that was compared."""
    same: int
    """How many of its metrics are the same by value."""
    others: Sequence[Comparison]
    """What is said of its other metrics, or of the whole result."""
    more: int = 0
    """Results that say the same as the first."""

    def repeated(self, key: Key) -> list[Comparison]:
        """Return what is said of another one, but for what is the same."""
        return [Comparison(key, each.metric, each.change, each.reason) for each in self.others]

    @property
    def counts(self) -> Counter[Change]:
        """How many metrics of the others come to each verdict."""
        changes = Counter(each.change for each in self.others) + Counter({Change.SAME: self.same})
        return Counter({change: number * self.more for change, number in changes.items()})


@dataclass(frozen=True, slots=True)
class _Group:
    """Results that have one shape in base, and one in head."""

    keys: list[Key] = field(default_factory=list)
    ours: array[int] = field(default_factory=lambda: array("q"))
    """Which of its shape's lines each is, in base."""
    theirs: array[int] = field(default_factory=lambda: array("q"))


def alike(
    base: Mapping[Key, Result], head: Mapping[Key, Result], compare: Callable[[Result], Iterable[Comparison]]
) -> dict[Key, Alike]:
    """Return the results of head whose comparison is known from another one's.

    Args:
        base: the only run that there is to compare with.
        compare: compares a result of head.
    """
    found: dict[Key, Alike] = {}
    if not (isinstance(base, ByKey) and isinstance(head, ByKey)):
        return found
    for (ours, theirs), group in _groups(base.lines, head.lines).items():
        if len(group.keys) < LEAST:
            continue
        first = group.keys[0]
        result = head[first]
        comparisons = list(compare(result))
        one_layout = 1 in (base[first].layouts, result.layouts)
        decided = [each.metric for each in comparisons if each.change in TOLD_APART and each.metric is not None]
        others = [each for each in comparisons if each.change not in TOLD_APART]
        sides = _Numbers(base.lines, ours, group.ours), _Numbers(head.lines, theirs, group.theirs)
        same = sides[0].like_first & sides[1].like_first
        for metric in decided:
            same &= _same(metric, *sides, one_layout)
        same[0] = False
        told = Alike(first, len(decided), others, int(same.sum()))
        found.update((key, told) for key, is_same in zip(group.keys, same.tolist(), strict=True) if is_same)
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


def _same(metric: Metric, ours: _Numbers, theirs: _Numbers, one_layout: bool) -> NDArray[bool_]:
    """Tell of each whether ``judging`` finds no difference by value; not where the numbers are beyond all doubles."""
    import numpy

    with numpy.errstate(over="ignore", invalid="ignore"):
        value, low, high = ours.side(metric.name)
        _, lower, higher = theirs.side(metric.name)
        times = ONE_LAYOUT if one_layout else 1
        floor = numpy.maximum(metric.floor, SHARE * abs(value)) * times if metric.floor else 0
        same: NDArray[bool_] = numpy.maximum(lower - high, low - higher) <= floor
    return same
