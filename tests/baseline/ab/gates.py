"""Runs of the gate between two sides that have the tests of one module."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pytest_memperf.baseline.ab.gate import Gate, Request, run
from pytest_memperf.baseline.ab.side import Side
from pytest_memperf.model.comparison import Change
from pytest_memperf.model.limits import Limits

MARKED = "import os, pytest, mypkg\npytestmark = pytest.mark.memperf\n"
Both = Callable[..., tuple[Side, Side]]


def judged(sides: tuple[Side, Side], keep_same: bool = False, max_time: float = 8.0) -> Gate:
    """Run the gate, without much time for times."""
    return run(*sides, Request(Limits(), keep_same, max_time=max_time), lambda text: None)


def rows(gate: Gate) -> Iterator[tuple[str, str, Change]]:
    """Yield test, metric and verdict of each comparison."""
    for each in gate.outcome.comparisons:
        yield each.key.test.partition("::")[2], each.metric.name if each.metric else "", each.change
