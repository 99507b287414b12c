"""A run as the JSON of pytest-benchmark, which its ``compare`` and ``--benchmark-compare`` read.

It knows times alone. So the benchmark of a test is its wall time, under the test's own name, and all metrics are beside
it in ``extra_info``. Another metric that is asked for is a benchmark of its own, in a group that names its unit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from pytest_memperf.isolation.benchmark import EXTRA_INFO
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.metric import Measured
from pytest_memperf.model.run import Run
from pytest_memperf.report.exporters.entries import Entry

TIMED = "wall_time"
"""What pytest-benchmark itself measures."""


def write(file: TextIO, run: Run, entries: Sequence[Entry]) -> None:
    """Write the benchmarks, with what it says of the machine and the commit."""
    from pytest_benchmark import __version__

    commit = run.commit
    data = {
        "machine_info": _machine(run.environment),
        "commit_info": {
            "id": commit.id if commit else "unversioned",
            "time": None,
            "author_time": None,
            "dirty": commit.dirty if commit else False,
            "project": None,
            "branch": run.branch or "(unknown)",
        },
        "benchmarks": list(_benchmarks(entries)),
        "datetime": run.created,
        "version": __version__,
    }
    json.dump(data, file, indent=1)
    file.write("\n")


def _benchmarks(entries: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        result = entry.result
        for name, measured in entry.metrics.items():
            fullname = entry.name if name == TIMED else f"{entry.name} {name}"
            function, bracket, parameters = fullname.partition("[")
            yield {
                "group": None if name == TIMED else f"{name} ({measured.metric.unit.name})",
                "name": f"{function.rpartition('::')[2]}{bracket}{parameters}",
                "fullname": fullname,
                "params": None,
                "param": None,
                "extra_info": {EXTRA_INFO: {result.window: result.as_json()["metrics"]}},
                "options": {},
                "stats": _statistics(measured),
            }


def _statistics(measured: Measured) -> dict[str, Any]:
    """Return the statistics of the samples, as pytest-benchmark computes them."""
    from pytest_benchmark.stats import Stats

    make: Any = Stats  # which has no types
    statistics = make()
    for sample in measured.samples:
        statistics.update(sample)
    return {**statistics.as_dict(), "data": list(measured.samples), "iterations": 1}


def _machine(environment: Environment) -> dict[str, Any]:
    implementation, _, version = (environment.python or "").partition(" ")
    return {
        "node": environment.machine,
        "processor": environment.cpu,
        "machine": environment.architecture,
        "python_implementation": implementation,
        "python_version": version,
        "release": environment.kernel,
        "system": "Linux",
        "cpu": {"brand_raw": environment.cpu, "count": environment.cpus},
    }
