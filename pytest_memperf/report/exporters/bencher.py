"""A run in Bencher Metric Format: https://bencher.dev/docs/reference/bencher-metric-format.

A benchmark for each result, a measure for each metric. The name of a measure holds its unit: where Bencher makes the
measure it knows no other place for it, and its own ``throughput`` is in operations per second.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TextIO

from pytest_memperf.model.metric import Measured
from pytest_memperf.model.run import Run
from pytest_memperf.report.exporters.entries import Entry, fitting

LONGEST_BENCHMARK = 1024
LONGEST_MEASURE = 64


def write(file: TextIO, run: Run, entries: Sequence[Entry]) -> None:
    """Write the entries that have a metric."""
    benchmarks = {
        fitting(entry.name, LONGEST_BENCHMARK): {
            fitting(f"{name} ({measured.metric.unit.name})", LONGEST_MEASURE): _metric(measured)
            for name, measured in entry.metrics.items()
        }
        for entry in entries
        if entry.metrics
    }
    json.dump(benchmarks, file, indent=1)
    file.write("\n")


def _metric(measured: Measured) -> dict[str, Any]:
    low, high = measured.interval
    return {"value": measured.value, "lower_value": low, "upper_value": high}
