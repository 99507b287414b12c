"""pytest-benchmark's statistics of what runs in children: they join the driver's own, for its table and its files."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest


def is_disabled(config: pytest.Config) -> bool:
    """In the driver: tell whether pytest-benchmark times nothing here, as in a worker of xdist."""
    return bool(getattr(_session(config), "disabled", False))


def disable(config: pytest.Config) -> None:
    """In a child: time nothing either."""
    session = _session(config)
    if session is not None:
        session.disabled = True


def statistics(config: pytest.Config) -> Iterator[dict[str, Any]]:
    """In a child: return what the driver needs to know of each benchmark that has run."""
    for each in getattr(_session(config), "benchmarks", ()):
        yield {
            "iterations": each.iterations,
            "data": each.stats.data,
            "group": each.group,
            "extra_info": each.extra_info,
            "has_error": each.has_error,
        }


def join(item: pytest.Item, benchmark: dict[str, Any]) -> None:
    """In the driver: add what a child has timed to the benchmarks of the session, as if it had run here."""
    session = _session(item.config)
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


def _session(config: pytest.Config) -> Any:
    return getattr(config, "_benchmarksession", None)
