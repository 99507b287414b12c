"""How metrics grow with a size: the class of growth that fits the values, and the one that is allowed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import Metric, Reading
from pytest_memperf.model.units import BYTES, COUNT, parse_size
from pytest_memperf.model.values import choice

CLASSES: dict[str, Callable[[float], float]] = {
    "O(1)": lambda n: 0.0,
    "O(log n)": math.log,
    "O(n)": lambda n: n,
    "O(n log n)": lambda n: n * math.log(n),
    "O(n**2)": lambda n: n * n,
}
"""What a class adds to a constant, the slowest growth first."""
FEWEST_SIZES = 3
FEWEST_ROUNDS = 5
"""For a noisy metric, whose spread says how far it can be trusted."""
STEP = 2
"""By how much each size is at least larger than the one before."""
SPAN = 8
"""By how much the last is at least larger than the first: between these, n log n still bends away from n by 4 %."""
TOLERANCE = 0.02
"""How far a value may lie from its curve, as a share of it."""
FLOORS = {BYTES.name: 16 * 4096, COUNT.name: 16}
"""How far besides, by unit: a few pages come and go by where things happen to lie."""
CLEARLY = 2.0
"""How many times better a class of faster growth has to fit than one of slower growth."""
REWEIGHTINGS = 10
"""Rounds of least squares, in each of which a value counts by how far the last curve was from it."""
TINY = 1e-12
"""Instead of 0 where it would divide: below any time or share that is measured."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of one argument."""

    argument: str
    values: tuple[int, ...]
    shown: tuple[str, ...]


def parse_sizes(over: Any) -> tuple[Sizes, ...]:
    """Return the sizes of each argument, from the smallest on. UsageMistake where no class could be told by them."""
    if not isinstance(over, Mapping) or not over or not all(isinstance(name, str) for name in over):
        raise UsageMistake(f"over={over!r}: name an argument and its sizes, over={{'size': ['16 MiB', '64 MiB', ...]}}")
    return tuple(_sizes_of(argument, given, over) for argument, given in over.items())


def _sizes_of(argument: str, given: Any, over: Any) -> Sizes:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UsageMistake(f"over={over!r}: give a list of sizes")
    values = {}
    for each in given:
        try:
            values[parse_size(each)] = each
        except UsageMistake as mistake:
            raise UsageMistake(f"over={over!r}: {mistake}") from None
    sizes = sorted(values)
    too_close = any(larger < STEP * smaller for smaller, larger in itertools.pairwise(sizes))
    if len(sizes) < FEWEST_SIZES or sizes[0] <= 0 or too_close or sizes[-1] < SPAN * sizes[0]:
        raise UsageMistake(
            f"over={over!r}: give {FEWEST_SIZES} sizes above 0 or more, each {STEP} times the one before at least and "
            f"the last {SPAN} times the first: closer ones look alike under every class"
        )
    shown = (values[size] if isinstance(values[size], str) else f"{size:,}" for size in sizes)
    return Sizes(argument, tuple(sizes), tuple(shown))


def parse_classes(metric: str, value: Any, arguments: Sequence[str]) -> dict[str, str]:
    """Return the class for each argument: one for all, or one for each by its name. UsageMistake for what is none."""
    given = dict(value) if isinstance(value, Mapping) else dict.fromkeys(arguments, value)
    if set(given) != set(arguments):
        raise UsageMistake(f"{metric}={value!r}: give a class for each argument of over: {', '.join(arguments)}")
    try:
        return {argument: choice(str(given[argument]).replace("^", "**"), CLASSES) for argument in arguments}
    except UsageMistake as mistake:
        raise UsageMistake(f"{metric}={value!r}: {mistake}") from None


@dataclass(frozen=True, slots=True)
class Curve:
    """A constant and a multiple of what a class adds to it."""

    growth: str
    values: tuple[float, ...]
    """At each size."""
    residual: float
    """The root of the mean square of how far the values lie from it, as shares of the values."""
    misfit: float
    """The largest distance, in tolerances."""


@dataclass(frozen=True, slots=True)
class Growth:
    """A metric at each size, and the curve of each class through it."""

    metric: Metric
    sizes: Sizes
    readings: tuple[Reading, ...]
    curves: Mapping[str, Curve]
    best: Curve

    def exceeds(self, allowed: str) -> bool:
        """Tell whether it grows faster than this class."""
        order = list(CLASSES)
        return order.index(self.best.growth) > order.index(allowed)

    def sentence(self, allowed: str) -> str:
        """Return the verdict in one line."""
        return (
            f"{self.metric.name} grows as {self.best.growth} with {self.sizes.argument}, faster than {allowed} "
            f"(residual {self.best.residual:.1%}; {self.curves[allowed].residual:.1%} as {allowed})"
        )

    def table(self) -> list[str]:
        """Return the sizes, the values, and what each class makes of them, as lines."""
        unit = self.metric.unit
        rows = [[self.sizes.argument, self.metric.name, *CLASSES]]
        for i, (size, (value, uncertainty)) in enumerate(zip(self.sizes.shown, self.readings, strict=True)):
            fitted = (curve.values[i] for curve in self.curves.values())
            shown = (unit.format(round(each) if isinstance(value, int) else each) for each in fitted)
            rows.append([size, unit.format(value) + (f" ± {unit.format(uncertainty)}" if uncertainty else ""), *shown])
        rows.append(["residual", "", *(f"{curve.residual:.1%}" for curve in self.curves.values())])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def growth_of(metric: Metric, sizes: Sizes, readings: Sequence[Reading]) -> Growth:
    """Return how the metric grows.

    The class is the one of slowest growth whose curve passes every value within its tolerance or, where none does so,
    that no faster one fits clearly better.
    """
    curves = {growth: _curve(growth, metric, sizes, readings) for growth in CLASSES}
    least = min(curve.misfit for curve in curves.values())
    best = next(curve for curve in curves.values() if curve.misfit <= max(1.0, CLEARLY * least))
    return Growth(metric, sizes, tuple(readings), curves, best)


def _curve(growth: str, metric: Metric, sizes: Sizes, readings: Sequence[Reading]) -> Curve:
    """Return the curve of the class nearest to the values: least squares, each weighed by how exact it is."""
    values = [float(reading.value) for reading in readings]
    slack = [float(reading.uncertainty) + FLOORS.get(metric.unit.name, 0) for reading in readings]
    added = [CLASSES[growth](size) for size in sizes.values]
    scale = max(added) or 1.0
    added = [each / scale for each in added]
    fitted = values
    for _ in range(REWEIGHTINGS):
        weights = [
            (TOLERANCE * (abs(y) + abs(f)) / 2 + more + TINY) ** -2
            for y, f, more in zip(values, fitted, slack, strict=True)
        ]
        fitted = _least_squares(added, values, weights)
    away = [abs(y - f) for y, f in zip(values, fitted, strict=True)]
    shares = [distance / max(abs(y), TINY) for distance, y in zip(away, values, strict=True)]
    # By the factor between value and curve, so that one far below the value counts like one as far above.
    misfits = [
        math.log1p(max(0.0, distance - more) / max(min(abs(y), abs(f)), more, TINY)) / TOLERANCE
        for distance, y, f, more in zip(away, values, fitted, slack, strict=True)
    ]
    residual = math.sqrt(sum(share**2 for share in shares) / len(shares))
    return Curve(growth, tuple(fitted), residual, max(misfits))


def _least_squares(added: Sequence[float], values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return ``a + b * added`` at each place; b is not below 0, and where no value is, a is not."""
    total = sum(weights)
    middle = sum(w * x for w, x in zip(weights, added, strict=True)) / total
    height = sum(w * y for w, y in zip(weights, values, strict=True)) / total
    width = sum(w * (x - middle) ** 2 for w, x in zip(weights, added, strict=True))
    product = sum(w * (x - middle) * (y - height) for w, x, y in zip(weights, added, values, strict=True))
    slope = max(0.0, product / width) if width else 0.0
    constant = height - slope * middle
    if constant < 0 <= min(values):
        squares = sum(w * x * x for w, x in zip(weights, added, strict=True))
        constant, slope = 0.0, sum(w * x * y for w, x, y in zip(weights, added, values, strict=True)) / squares
    return [constant + slope * x for x in added]
