"""A run for github-action-benchmark, as its tools ``customSmallerIsBetter`` and ``customBiggerIsBetter`` read it.

https://github.com/benchmark-action/github-action-benchmark. A file has one direction: metrics of the other one belong
to the other tool, those without any to none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TextIO

from pytest_memperf.model.metric import Better, Measured
from pytest_memperf.model.run import Run
from pytest_memperf.model.units import is_whole
from pytest_memperf.report.exporters.entries import Entry


def write_smaller(file: TextIO, run: Run, entries: Sequence[Entry]) -> None:
    """Write the metrics of which less is better."""
    _write(file, entries, Better.LOWER)


def write_bigger(file: TextIO, run: Run, entries: Sequence[Entry]) -> None:
    """Write the metrics of which more is better."""
    _write(file, entries, Better.HIGHER)


def _write(file: TextIO, entries: Sequence[Entry], better: Better) -> None:
    rows = [
        _row(entry, name, measured)
        for entry in entries
        for name, measured in entry.metrics.items()
        if measured.metric.better is better
    ]
    json.dump(rows, file, indent=1)
    file.write("\n")


def _row(entry: Entry, name: str, measured: Measured) -> dict[str, Any]:
    low, high = measured.interval
    beside = max(high - measured.value, measured.value - low)
    result = entry.result
    told = {
        "window": result.window,
        "allocator": result.allocator,
        "isolation": result.isolation,
        "samples": len(measured.samples),
        "trust": measured.metric.trust.value,
    }
    return {
        "name": f"{entry.name} {name}",
        "unit": measured.metric.unit.name,
        "value": measured.value,
        **({"range": f"± {int(beside) if is_whole(beside) else beside}"} if beside else {}),
        "extra": "\n".join(f"{what}: {value}" for what, value in told.items()),
    }
