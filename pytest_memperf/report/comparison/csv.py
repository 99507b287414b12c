"""A comparison as comma-separated values: a row for each metric, numbers in the metric's unit."""

from __future__ import annotations

import csv
from typing import Any, TextIO

from pytest_memperf.model.comparison import Comparison, Side
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.units import Number

COLUMNS = (
    "base_run", "head_run", "test", "window", "allocator", "isolation", "metric", "unit", "verdict", "fails",
    "base", "base_low", "base_high", "head", "head_low", "head_high", "difference", "ratio", "smallest_change",
    "reason", "host",
)  # fmt: skip


def write(file: TextIO, outcomes: list[Outcome]) -> None:
    """Write the names of the columns and all rows, also of tests that fail; what there is none of is empty."""
    rows = csv.DictWriter(file, COLUMNS)  # lines end as RFC 4180 says: so what is quoted has every line break in it
    rows.writeheader()
    for outcome in outcomes:
        of_all = {"base_run": outcome.base, "head_run": outcome.head, "host": outcome.host}
        rows.writerows(of_all | _row(comparison) for comparison in outcome.comparisons)
        for test, reason in outcome.failed.items():
            rows.writerow(of_all | {"test": test, "verdict": "fails on head", "fails": 1, "reason": reason})


def _row(comparison: Comparison) -> dict[str, Any]:
    metric = comparison.metric
    return {
        **comparison.key._asdict(),
        **({"metric": metric.name, "unit": metric.unit.name} if metric else {}),
        "verdict": comparison.change.value,
        "fails": int(comparison.failing),
        **_side("base", comparison.base),
        **_side("head", comparison.head),
        "difference": comparison.difference,
        "ratio": comparison.ratio,
        "smallest_change": comparison.smallest,
        "reason": comparison.words,
    }


def _side(name: str, side: Side | None) -> dict[str, Number]:
    return {name: side.value, f"{name}_low": side.low, f"{name}_high": side.high} if side else {}
