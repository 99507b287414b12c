"""A comparison as comma-separated values: a row for each metric, numbers in the metric's unit."""

from __future__ import annotations

import csv
from typing import TextIO

from pytest_memperf.model.outcome import Outcome

COLUMNS = (
    "base_run", "head_run", "test", "window", "allocator", "isolation", "metric", "unit", "verdict", "fails",
    "base", "base_low", "base_high", "head", "head_low", "head_high", "difference", "ratio", "smallest_change",
    "reason", "host",
)  # fmt: skip


def write(file: TextIO, outcomes: list[Outcome]) -> None:
    """Write the names of the columns and all rows, also of tests that fail; what there is none of is empty."""
    rows = csv.writer(file)  # lines end as RFC 4180 says: so what is quoted has every line break in it
    rows.writerow(COLUMNS)
    for outcome in outcomes:
        for each in outcome.comparisons:
            metric, sides = each.metric, (each.base, each.head)
            values = [(side.value, side.low, side.high) if side else (None,) * 3 for side in sides]
            rows.writerow(
                [
                    outcome.base, outcome.head, *each.key,
                    *((metric.name, metric.unit.name) if metric else ("", "")), each.change.value, int(each.failing),
                    *values[0], *values[1], each.difference, each.ratio, each.smallest, each.words,
                    outcome.host,
                ]
            )  # fmt: skip
        for test, reason in outcome.failed.items():
            given = {"base_run": outcome.base, "head_run": outcome.head, "test": test, "verdict": "fails on head"}
            given |= {"fails": "1", "reason": reason, "host": outcome.host}
            rows.writerow([given.get(name, "") for name in COLUMNS])
