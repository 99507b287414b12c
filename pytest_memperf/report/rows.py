"""The results that the terminal shows: the first of an order, however many there are."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_memperf.model.budget import Check, Verdict
from pytest_memperf.model.metric import Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import Number, Unit

BY_NAME = "name"
SMALL = 0.01
"""The share of a value below which its uncertainty is not shown beside it."""
_RANKS = {Verdict.FAILED: 0, Verdict.WARNED: 1, Verdict.UNCHECKED: 2, Verdict.PASSED: 3, None: 4}


@dataclass(frozen=True, slots=True)
class Row:
    """What the table shows of a result."""

    test: str
    window: str
    isolation: str
    allocator: str
    values: Mapping[str, Number]
    uncertainties: Mapping[str, Number]
    """Those that are not small beside their value."""
    verdicts: Mapping[str, Verdict]
    """The worst verdict over each metric that has a budget."""
    checks: Mapping[Verdict, int]
    """How many budgets came to each verdict."""
    unavailable: Mapping[str, str]
    requested: Sequence[str]
    """The metrics that the test asked for."""

    @property
    def worst(self) -> Verdict | None:
        """The worst verdict, or None where there are no budgets."""
        return min(self.checks, key=_RANKS.__getitem__, default=None)


def row_of(result: Result, units: dict[str, Unit]) -> Row:
    """Return what the table shows of the result, and add the units that are new.

    A figure that another test recorded in another unit under the same name becomes a metric beside it.
    """

    def key(metric: Metric) -> str:
        unit = units.setdefault(metric.name, metric.unit)
        if unit.name == metric.unit.name:
            return metric.name
        other = f"{metric.name} ({metric.unit.name})"
        units[other] = metric.unit
        return other

    verdicts: dict[str, Verdict] = {}
    checks: dict[Verdict, int] = {}
    for check in result.checks:
        name, verdict = key(check.budget.metric), check.verdict
        verdicts[name] = min(verdict, verdicts.get(name, verdict), key=_RANKS.__getitem__)
        checks[verdict] = checks.get(verdict, 0) + 1
    values: dict[str, Number] = {}
    uncertainties: dict[str, Number] = {}
    for measured in result.metrics.values():
        name, value, uncertainty = key(measured.metric), measured.value, measured.uncertainty
        values[name] = value
        # A noisy one's is the spread of its rounds: not what the true value lies in.
        if uncertainty > SMALL * abs(value) and measured.metric.trust is not Trust.NOISY:
            uncertainties[name] = uncertainty
    key_of = (result.test, result.window, result.isolation, result.allocator)
    return Row(*key_of, values, uncertainties, verdicts, checks, dict(result.unavailable), result.requested)


def order(name: str | None) -> Callable[[Result], Any]:
    """Return the sort key: ``"name"``, a metric (the largest first), or None: the worst verdict first."""
    if name == BY_NAME:
        return _by_name
    if name is None:
        return lambda result: _rank(result.checks)

    def by_metric(result: Result) -> tuple[bool, Number]:
        measured = result.metrics.get(name)
        return measured is None, -measured.value if measured else 0

    return by_metric


_NUMBERS = re.compile(r"(\d+)")


def _by_name(named: Result | Row) -> list[Any]:
    return natural(f"{named.test} {named.window}")


def natural(name: str) -> list[Any]:
    """Return the sort key of a name, its numbers as such: ``[2]`` comes before ``[10]``."""
    parts: list[Any] = _NUMBERS.split(name)
    for place in range(1, len(parts), 2):
        digits = parts[place].lstrip("0")
        parts[place] = (len(digits), digits)  # int() refuses some thousands of digits
    return parts


def _rank(checks: Sequence[Check]) -> int:
    """Return the rank of the worst verdict."""
    if not checks:
        return _RANKS[None]
    return min([_RANKS[check.verdict] for check in checks])


class Rows:
    """Keeps the first ``limit`` rows of an order, so that a long session costs little; None keeps all.

    Of results with the same key it keeps those that came first.
    """

    def __init__(self, key: Callable[[Result], Any], limit: int | None) -> None:
        self._key = key
        self._limit = limit
        self._keys: list[Any] = []
        self._rows: list[Row] = []
        self.units: dict[str, Unit] = {}
        """The unit of each metric in the rows."""
        self.count = 0

    def add(self, result: Result) -> None:
        """Take a result; most need no row, because they come behind the first ones."""
        self.count += 1
        key = self._key(result)
        if len(self._rows) == self._limit:
            if key >= self._keys[-1]:
                return
            del self._keys[-1], self._rows[-1]
        place = bisect_right(self._keys, key)
        self._keys.insert(place, key)
        self._rows.insert(place, row_of(result, self.units))

    def first(self) -> Sequence[Row]:
        """Return the first rows in order, those of equal keys by name: only what is shown has to pay for that."""
        keyed = zip(self._keys, self._rows, strict=True)
        return [row for _, row in sorted(keyed, key=lambda each: (each[0], _by_name(each[1])))]
