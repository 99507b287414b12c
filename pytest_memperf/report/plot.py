"""Values as bars of text: in one line, or as a plot with its scale."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import pairwise
from statistics import median

from pytest_memperf.model.units import Number
from pytest_memperf.report.table import width_of

BARS = " ▁▂▃▄▅▆▇█"
HEIGHT = 6
"""Lines of a plot."""
MARK = "^"


def bars(values: Sequence[Number], room: int) -> str:
    """Return a bar for each value, between the smallest and the largest; where there is no room, for several."""
    return "".join(BARS[eighths] for eighths in _eighths(_fitted(values, room), 1))


def plot(values: Sequence[Number], marked: Collection[int], scale: Callable[[Number], str], room: int) -> Iterator[str]:
    """Yield the lines of a plot.

    Args:
        marked: the places of values to mark below their bars.
        scale: writes a value; the largest and the smallest stand beside the plot.
        room: columns of the terminal.
    """
    top, bottom = scale(max(values)), scale(min(values))
    margin = max(width_of(top), width_of(bottom))
    shown = _fitted(values, room - margin - 2)
    eighths = _eighths(shown, HEIGHT)
    for line in reversed(range(HEIGHT)):
        label = top if line == HEIGHT - 1 else bottom if line == 0 else ""
        row = "".join(BARS[min(max(each - 8 * line, 0), 8)] for each in eighths)
        yield f"{' ' * (margin - width_of(label))}{label} ┤{row}".rstrip()
    if marked:
        places = {place * len(shown) // len(values) for place in marked}
        marks = "".join(MARK if place in places else " " for place in range(len(shown)))
        yield f"{' ' * (margin + 2)}{marks}".rstrip()


def _fitted(values: Sequence[Number], room: int) -> list[Number]:
    """Return so many values at most: the medians of neighbours."""
    count = max(1, min(len(values), room))
    starts = [-(-number * len(values) // count) for number in range(count + 1)]
    return [median(values[start:end]) for start, end in pairwise(starts)]


def _eighths(values: Sequence[Number], lines: int) -> list[int]:
    """Return the height of each bar, from 1 for the smallest to 8 for each line; 1 where all are the same."""
    low, high = min(values), max(values)
    if low == high:
        return [1] * len(values)
    return [1 + round((value - low) / (high - low) * (8 * lines - 1)) for value in values]
