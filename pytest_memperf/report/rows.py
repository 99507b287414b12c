"""The results that the terminal shows: the first of an order, however many there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_memperf.model.budget import Status
from pytest_memperf.model.metric import Metric
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import Number, Unit

BY_NAME = "name"
_RANKS = {Status.FAILED: 0, Status.UNCHECKED: 1, Status.PASSED: 2, None: 3}


@dataclass(frozen=True, slots=True)
class Row:
    """What the table shows of a result."""

    test: str
    window: str
    isolation: str
    allocator: str
    values: Mapping[str, Number]
    verdicts: Mapping[str, Status]
    """The worst verdict over each metric that has a budget."""
    checks: Mapping[Status, int]
    """How many budgets came to each verdict."""

    @property
    def worst(self) -> Status | None:
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

    verdicts: dict[str, Status] = {}
    checks: dict[Status, int] = {}
    for check in result.checks:
        name, status = key(check.budget.metric), check.status
        verdicts[name] = min(status, verdicts.get(name, status), key=_RANKS.__getitem__)
        checks[status] = checks.get(status, 0) + 1
    values = {key(measured.metric): measured.value for measured in result.metrics.values()}
    return Row(result.test, result.window, result.isolation, result.allocator, values, verdicts, checks)


def order(name: str | None) -> Callable[[Row], Any]:
    """Return the sort key: ``"name"``, a metric (the largest first), or None: failed, unchecked, budgeted, rest."""
    if name == BY_NAME:
        return lambda row: (row.test, row.window)
    if name is None:
        return lambda row: (_RANKS[row.worst], row.test, row.window)
    return lambda row: (name not in row.values, -row.values.get(name, 0), row.test, row.window)


class Rows:
    """Keeps the first ``limit`` rows of an order, so that a long session costs little memory; None keeps all."""

    def __init__(self, key: Callable[[Row], Any], limit: int | None) -> None:
        self._key = key
        self._limit = limit
        self._rows: list[Row] = []
        self.count = 0

    def add(self, row: Row) -> None:
        """Take a row; what cannot come among the first any more is dropped now and then."""
        self.count += 1
        self._rows.append(row)
        if self._limit is not None and len(self._rows) >= 4 * self._limit:
            self._rows = self.first()

    def first(self) -> list[Row]:
        """Return the first rows in order."""
        return sorted(self._rows, key=self._key)[: self._limit]
