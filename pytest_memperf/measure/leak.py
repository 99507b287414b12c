"""What a call may leave behind each time, and what it was found to leave."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_memperf.measure.retained import METRICS, WITNESSES, Witness
from pytest_memperf.measure.trend import LEVELS, Level, Trend
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.units import BYTES, Number, is_whole, parse_number, parse_size

NEXT_TO_NOTHING = 0.001
"""Uncertainty as a share of the growth that goes without saying."""


def parse_limits(given: Mapping[str, Any]) -> dict[str, Number]:
    """Return the limit of each metric per call; 0 for all of them where none is given. UsageMistake otherwise."""
    limits: dict[str, Number] = {}
    for keyword, value in given.items():
        metric = keyword.removeprefix("max_")
        if metric not in METRICS or metric == keyword:
            known = nearest(keyword, (f"max_{each}" for each in METRICS))
            valid = ", ".join(f"max_{each}" for each in METRICS)
            raise UsageMistake(f"{keyword}={value!r}: there is no limit of this name{known or f': give {valid}'}")
        if value is None:
            continue
        bytes_ = any(witness.unit is BYTES for witness in WITNESSES if witness.metric == metric)
        try:
            # A leak need not happen in every call: one object in ten is 0.1.
            limit = parse_size(value) if bytes_ and isinstance(value, str) else parse_number(value)
        except UsageMistake as mistake:
            raise UsageMistake(f"{keyword}: {mistake}") from None
        if not limit >= 0 or math.isinf(limit):
            raise UsageMistake(f"{keyword}={value!r}: a limit is 0 or more, per call")
        limits[metric] = limit
    return limits or dict.fromkeys(METRICS, 0)


@dataclass(frozen=True, slots=True)
class Growth:
    """What became of one witness."""

    witness: Witness
    levels: tuple[Level, ...]
    trend: Trend
    reason: str = ""
    """Why it could not be read."""

    @property
    def per_call(self) -> str:
        """The growth per call in words."""
        slope, uncertainty = self.trend.slope, self.trend.uncertainty
        shown = f" ± {_amount(self.witness, uncertainty)}" if uncertainty > NEXT_TO_NOTHING * slope else ""
        return f"{_amount(self.witness, slope)}{shown}"

    @property
    def most(self) -> float:
        """What it may be per call at most."""
        return self.trend.slope + self.trend.uncertainty


@dataclass(frozen=True, slots=True)
class Leak:
    """What the calls left behind, as the fork found it."""

    growths: tuple[Growth, ...]
    calls: int
    seconds: float
    cut_short: str
    """Why no more calls were made, where the time was not the reason."""
    classes: Mapping[str, int]
    """Blocks of each size that a few calls more have left, the most first."""
    classes_calls: int
    """Those calls."""

    def reason(self, metric: str) -> str:
        """Return why nothing of a metric can be read here; nothing where something can."""
        reasons = [growth.reason for growth in self.growths if growth.witness.metric == metric]
        return reasons[0] if all(reasons) else ""

    def decisive(self, metric: str, limit: Number) -> Growth:
        """Return the witness that decides: the surest that is over the limit, the first that may be, or the largest."""
        growths = [growth for growth in self.growths if growth.witness.metric == metric and not growth.reason]
        over = [growth for growth in growths if growth.trend.exceeds(limit)]
        if over:
            return min(over, key=lambda growth: growth.trend.uncertainty / growth.trend.slope)
        may_be = [growth for growth in growths if not growth.trend.is_within(limit)]
        return may_be[0] if may_be else max(growths, key=lambda growth: growth.trend.slope)

    def wrong(self, limits: Mapping[str, Number]) -> list[str]:
        """Return a sentence for each limit that is exceeded."""
        return [
            f"{metric} grows by {growth.per_call} per call ({growth.witness.name}{self._sizes(growth)}), over "
            f"max_{metric} = {_amount(growth.witness, limit)}"
            for metric, limit, growth in self._readable(limits)
            if growth.trend.exceeds(limit)
        ]

    def _readable(self, limits: Mapping[str, Number]) -> list[tuple[str, Number, Growth]]:
        return [
            (metric, limit, self.decisive(metric, limit)) for metric, limit in limits.items() if not self.reason(metric)
        ]

    def _sizes(self, growth: Growth) -> str:
        """Return which size of blocks most of it is made of, where it is made of blocks."""
        name = next(iter(self.classes), "")
        return f", mostly {name}" if name and growth.witness.of_blocks else ""

    def unchecked(self, limits: Mapping[str, Number]) -> list[str]:
        """Return a sentence for each limit of which nothing is certain."""
        after = f"not certain after {self.calls:,} calls in {self.seconds:.1f} s"
        why = f" ({self.cut_short})" if self.cut_short else ""
        open_ = {
            metric: f"{after}{why}: {growth.witness.name} may grow by {_at_most(growth)}"
            for metric, limit, growth in self._readable(limits)
            if not growth.trend.exceeds(limit) and not growth.trend.is_within(limit)
        }
        return [
            f"max_{metric}={limit:g} was not checked: {open_.get(metric) or self.reason(metric)}"
            for metric, limit in limits.items()
            if metric in open_ or self.reason(metric)
        ]

    def table(self) -> list[str]:
        """Return what grew by how much in the last levels, and the sizes of the blocks that did, as lines."""
        readable = [growth for growth in self.growths if not growth.reason and growth.levels]
        if not readable:
            return []
        shown = readable[0].levels[-LEVELS:]
        rows = [["growth in calls", *(f"{level.all_calls:,}" for level in shown), "per call", ""]]
        for growth in readable:
            amounts = (_amount(growth.witness, level.growth) for level in growth.levels[-LEVELS:])
            rows.append([growth.witness.name, *amounts, growth.per_call, growth.trend.course.value])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) if i in (0, len(row) - 1) else cell.rjust(width) for i, (cell, width) in each)
            for row in rows
            for each in [list(enumerate(zip(row, widths, strict=True)))]
        ]
        sizes = [f"{count / self.classes_calls:.3g} more per call: {name}" for name, count in self.classes.items()]
        return [line.rstrip() for line in lines] + sizes


def _at_most(growth: Growth) -> str:
    if math.isinf(growth.most):
        return "any amount, these calls are too few: give more seconds"
    return f"up to {_amount(growth.witness, growth.most)} per call"


def _amount(witness: Witness, value: float) -> str:
    if witness.unit.name == BYTES.name and abs(value) >= 1024:
        return witness.unit.format(round(value))
    shown = f"{value:,.3g}" if abs(value) < 1000 and not is_whole(value) else f"{value:,.0f}"
    return f"{shown} B" if witness.unit.name == BYTES.name else shown
