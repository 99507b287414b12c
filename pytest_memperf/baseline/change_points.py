"""Where a series that never repeats moved to another level for good.

ruptures cuts the series (Killick, Fearnhead and Eckley, "Optimal detection of changepoints with a linear computational
cost", 2012), but not by its values: by the normal scores of their ranks. Under noise alone every order of these is
equally likely, whatever the noise is like, so that one penalty holds the same rate of false cuts for all of them, and
a few wild values count for little. A cut whose sides lie no further apart than is worth a word is taken back. Where
exactly the level changed is then asked of the values themselves, because ranks blur it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_memperf.model.units import Number

LEAST = 16
"""Values that it takes: in fewer even two levels that lie far apart are too likely to be noise."""
STAY = 5
"""Values that make a level."""
EXTRA = "pip install 'pytest-memperf[history]'"
_REPLICAS = 400
_MOST_LIKE = 0.8
_MISSES = 0.02
"""How often the true place may lie outside of the interval."""

Values = NDArray[np.float64]


class ChangePoint(NamedTuple):
    """A change of the level, by places in the series."""

    place: int
    """Of the first value on the new level."""
    earliest: int
    latest: int
    """Between which it lies beyond reasonable doubt."""
    before: float
    after: float
    """The levels: the medians of both sides."""


class MissingExtra(ImportError):
    """ruptures is not installed."""


def find(values: Sequence[Number], smallest: Callable[[float], float]) -> list[ChangePoint]:
    """Return where the level changed, in order. MissingExtra without ruptures.

    In noise that has no memory, one series in a thousand has a change point by chance.

    Args:
        values: in order; fewer than ``LEAST`` tell nothing.
        smallest: returns the smallest change of a level that counts, in the unit of the values.
    """
    if len(values) < LEAST:
        return []
    try:
        ruptures: Any = importlib.import_module("ruptures")
    except ImportError as error:
        raise MissingExtra(EXTRA) from error

    def cut(stretch: Values, memory: float) -> list[int]:
        search = ruptures.KernelCPD(kernel="linear", min_size=STAY).fit(_scores(stretch).reshape(-1, 1))
        return [int(place) for place in search.predict(pen=_penalty(len(stretch)) * memory)[:-1]]

    series = np.asarray(values, dtype=float)
    bounds = _levels(series, partial(cut, memory=1.0))
    memory = _memory(series, bounds)
    if memory > 1:
        bounds = _levels(series, partial(cut, memory=memory))
    bounds = _placed(series, _worth_a_word(series, bounds, smallest))
    return [_described(series, *bounds[number - 1 : number + 2]) for number in range(1, len(bounds) - 1)]


def _levels(series: Values, cut: Callable[[Values], list[int]]) -> list[int]:
    """Return where the levels begin, and the series' end.

    A level is cut again by the ranks within it: beside a far one, those of two near ones lie close together.
    """
    if len(series) < LEAST:
        return [0, len(series)]
    bounds = _placed(series, [0, *cut(series), len(series)])
    if len(bounds) == 2:
        return bounds
    inner = [start + place for start, end in pairwise(bounds) for place in _levels(series[start:end], cut)[:-1]]
    return [*inner, len(series)]


def _placed(series: Values, bounds: Sequence[int]) -> list[int]:
    """Return the bounds, each moved to where the values change sides between its neighbours."""
    placed = list(bounds)
    for number in range(1, len(placed) - 1):
        placed[number] = _place(series, *placed[number - 1 : number + 2])
    return placed


def _memory(series: Values, bounds: Sequence[int]) -> float:
    """Return how many times as large the square is by which a level's mean strays, for neighbours are alike.

    A machine that is busy for a while slows several runs in a row, which look like a level. 1 in noise without memory.
    """
    rests = _scores(np.concatenate([level - np.median(level) for level in np.split(series, bounds[1:-1])]))
    size = float(rests @ rests)
    likeness = float(rests[1:] @ rests[:-1]) / size if size > 1e-9 else 0.0
    likeness = min(max(likeness - 1 / math.sqrt(len(rests)), 0.0), _MOST_LIKE)  # so much is chance
    return (1 + likeness) / (1 - likeness)


def _penalty(length: int) -> float:
    """Return the gain that a cut must bring: one series of noise in a thousand has one, at any length.

    Fitted to orders drawn at random, 16 to 500 long; tests/benchmarks/change_points.py draws them again.
    """
    return 4 * math.log(length) - 1


def _scores(series: Values) -> Values:
    """Return the normal scores of the ranks; equal values share the mean of theirs."""
    scores = np.array(_normal_scores(len(series)))
    ordered = np.empty_like(series)
    ordered[np.argsort(series, kind="stable")] = scores
    _, group, sizes = np.unique(series, return_inverse=True, return_counts=True)
    shared: Values = (np.bincount(group, ordered) / sizes)[group]
    return shared


@lru_cache(maxsize=100)
def _normal_scores(length: int) -> tuple[float, ...]:
    scores = [NormalDist().inv_cdf((rank + 0.5) / length) for rank in range(length)]
    size = math.sqrt(sum(score * score for score in scores) / length)
    return tuple(score / size for score in scores)


def _worth_a_word(series: Values, bounds: Sequence[int], smallest: Callable[[float], float]) -> list[int]:
    """Return the bounds without those whose sides lie close together, the closest taken back first."""
    kept = list(bounds)
    while len(kept) > 2:
        levels = [float(np.median(series[start:end])) for start, end in pairwise(kept)]
        beyond = [abs(after - before) - smallest(before) for before, after in pairwise(levels)]
        least = min(range(len(beyond)), key=beyond.__getitem__)
        if beyond[least] > 0:
            break
        del kept[least + 1]
    return kept


def _place(series: Values, start: int, cut: int, end: int) -> int:
    """Return where the values of this stretch change sides: those before are nearer to the first level in sum."""
    return start + int(_best(_leanings(series, start, cut, end)[np.newaxis], end - start)[0])


def _leanings(series: Values, start: int, cut: int, end: int) -> Values:
    """Return how much further each value is from the first level than from the second."""
    before, after = np.median(series[start:cut]), np.median(series[cut:end])
    leanings: Values = np.abs(series[start:end] - before) - np.abs(series[start:end] - after)
    return leanings


def _best(leanings: Values, length: int) -> NDArray[np.intp]:
    """Return for each row how many values lie on the first level, where both sides have enough of them."""
    sums = np.cumsum(leanings, axis=1)[:, STAY - 1 : length - STAY]
    best: NDArray[np.intp] = np.argmin(sums, axis=1) + STAY
    return best


def _described(series: Values, start: int, cut: int, end: int) -> ChangePoint:
    """Return the change point with the interval of its place, from samples of either side drawn again (bootstrap)."""
    before, after = float(np.median(series[start:cut])), float(np.median(series[cut:end]))
    leanings = _leanings(series, start, cut, end)
    draw = np.random.default_rng(0)  # the same series gives the same answer
    first, second = cut - start, end - cut
    drawn = np.concatenate(
        [
            draw.choice(leanings[:first], (_REPLICAS, first)),
            draw.choice(leanings[first:], (_REPLICAS, second)),
        ],
        axis=1,
    )
    places = start + _best(drawn, end - start)
    earliest, latest = np.quantile(places, (_MISSES / 2, 1 - _MISSES / 2), method="nearest")
    return ChangePoint(cut, min(cut, int(earliest)), max(cut, int(latest)), before, after)
