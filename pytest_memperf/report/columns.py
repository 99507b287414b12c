"""The columns of the table of results: which metrics, in which unit, and the text of each value."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import pytest

from pytest_memperf.metrics import Registry
from pytest_memperf.metrics.session import metric_named
from pytest_memperf.model.units import Number, Unit, is_whole
from pytest_memperf.options import resolve
from pytest_memperf.report.rows import BY_NAME, Row


@dataclass(frozen=True, slots=True)
class Column:
    """A metric, and the one scale in which the table shows it, so that its values can be compared."""

    name: str
    scale: str
    size: float
    digits: int
    margin: int = 0
    """Characters of the widest uncertainty, kept free beside the values that have none."""

    def text(self, value: Number | None, uncertainty: Number = 0) -> str:
        """Return the value in the column's scale, with an uncertainty that is not 0; never 0 for what is not 0."""
        beside = f"±{self._number(uncertainty)}" if uncertainty else ""
        text = "-" if value is None else self._number(value)
        return f"{text} {beside:>{self.margin}}" if self.margin else text

    def _number(self, value: Number) -> str:
        if value == 0:
            return "0"
        text = f"{value / self.size:,.{self.digits}f}"
        if not float(text.replace(",", "")):
            return f"{'<' if value > 0 else '>-'}{10**-self.digits:.{self.digits}f}"
        return text


def column_of(name: str, unit: Unit, values: Sequence[Number], uncertainties: Sequence[Number] = ()) -> Column:
    """Return the column in the scale of its middle value, with two digits unless all values are whole."""
    sizes = [abs(value) for value in values if value] or uncertainties
    scale, size = unit.scale(median(sizes) if sizes else 0)
    whole = all(is_whole(value / size) for value in (*values, *uncertainties))
    column = Column(name, scale, size, 0 if whole else 1 if len(unit.scales) == 1 else 2)
    return replace(column, margin=max((1 + len(column.text(each)) for each in uncertainties), default=0))


def chosen_columns(config: pytest.Config) -> list[str] | None:
    """Return the metrics of ``--memperf-columns``, or None. UsageMistake for one that no test can have."""
    names = resolve(config, "columns")
    return None if names is None else [metric_named(name, "columns", config) for name in names]


def chosen_order(config: pytest.Config) -> str | None:
    """Return ``"name"``, the metric of ``--memperf-sort``, or None. UsageMistake for one that no test can have."""
    name = resolve(config, "sort")
    return name if name in (None, BY_NAME) else metric_named(name, "sort", config)


def shown_metrics(config: pytest.Config) -> list[str]:
    """Return the metrics that the two options name: they are to be measured, then, whatever they cost."""
    return [*(chosen_columns(config) or ()), *filter(None, [chosen_order(config)])]


def default_names(rows: Sequence[Row], registry: Registry) -> list[str]:
    """Return the metrics worth a column: the headlines, those that somebody asked for, those that tests recorded."""
    present = dict.fromkeys(name for row in rows for name in row.values)
    budgeted = {name for row in rows for name in row.verdicts}
    wanted = budgeted.union(*(row.requested for row in rows))
    known = [
        metric.name for metric in registry if metric.name in wanted or (metric.headline and metric.name in present)
    ]
    return [*known, *(name for name in dict.fromkeys([*present, *budgeted]) if name not in registry)]


def unrecorded(names: Iterable[str], registry: Registry, told: Container[str]) -> list[str]:
    """Return the names that are no metric, and of which no result tells: a typing error, most often."""
    return [name for name in names if name not in registry and name not in told]
