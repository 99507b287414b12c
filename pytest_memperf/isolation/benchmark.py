"""pytest-benchmark's statistics of what runs in children: they join the driver's own, for its table and its files."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

EXTRA_INFO = "memperf"
"""Under which a benchmark's ``extra_info`` has the metrics of each window, as a file of results has them."""


def is_disabled(config: pytest.Config) -> bool:
    """In the driver: tell whether pytest-benchmark times nothing here, as in a worker of xdist."""
    return bool(getattr(session_of(config), "disabled", False))


def disable(config: pytest.Config) -> None:
    """In a child: time nothing either."""
    session = session_of(config)
    if session is not None:
        session.disabled = True


def statistics(config: pytest.Config) -> Iterator[dict[str, Any]]:
    """In a child: return what the driver needs to know of each benchmark that has run."""
    for each in getattr(session_of(config), "benchmarks", ()):
        yield {
            "iterations": each.iterations,
            "data": each.stats.data,
            "group": each.group,
            "extra_info": each.extra_info,
            "has_error": each.has_error,
        }


def join(item: pytest.Item, benchmark: dict[str, Any]) -> None:
    """In the driver: add what a child has timed to the benchmarks of the session, as if it had run here."""
    session = session_of(item.config)
    if session is None:
        return
    fixtures: Any = importlib.import_module("pytest_benchmark.fixture")
    mark = item.get_closest_marker("benchmark")
    options = {**session.options, **(mark.kwargs if mark else {})}
    if mark and "timer" in mark.kwargs:
        options["timer"] = fixtures.NameWrapper(mark.kwargs["timer"])
    fixture = fixtures.BenchmarkFixture(
        item,
        add_stats=session.benchmarks.append,
        logger=session.logger,
        warner=item.warn,
        disabled=False,
        **options,
    )
    fixture.group = benchmark["group"]
    fixture.extra_info = benchmark["extra_info"]
    fixture.has_error = benchmark["has_error"]
    fixture._make_stats(benchmark["iterations"]).stats.data += benchmark["data"]


def session_of(config: pytest.Config) -> Any:
    """Return pytest-benchmark's session, or None without it."""
    return getattr(config, "_benchmarksession", None)
