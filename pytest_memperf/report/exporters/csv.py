"""A run as comma-separated values: a row for each metric, numbers in the metric's unit."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TextIO

from pytest_memperf.model.run import Run
from pytest_memperf.report.exporters.entries import Entry

COLUMNS = (
    "created", "commit", "branch", "dirty", "run", "test", "window", "allocator", "isolation", "rounds", "layouts",
    "metric", "unit", "trust", "better", "value", "low", "high", "uncertainty", "samples",
)  # fmt: skip


def write(file: TextIO, run: Run, entries: Sequence[Entry]) -> None:
    """Write the names of the columns and all rows; what there is none of is empty, samples are parted by spaces."""
    rows = csv.writer(file)
    rows.writerow(COLUMNS)
    commit = (run.commit.id, run.commit.branch, int(run.commit.dirty)) if run.commit else ("", "", "")
    for entry in entries:
        result = entry.result
        for name, measured in entry.metrics.items():
            metric = measured.metric
            rows.writerow(
                [
                    run.created, *commit, run.name, *result.key, result.rounds, result.layouts,
                    name, metric.unit.name, metric.trust.value, metric.better.value,
                    measured.value, *measured.interval, measured.uncertainty, " ".join(map(repr, measured.samples)),
                ]
            )  # fmt: skip
