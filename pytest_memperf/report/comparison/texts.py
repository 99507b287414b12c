"""The words of a comparison, which every format for readers has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pytest_memperf.model.comparison import TOLD_APART, Change, Comparison, Side
from pytest_memperf.model.metric import Metric
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.units import Number
from pytest_memperf.report.block import counted
from pytest_memperf.report.table import printable

COLUMNS = ("test", "metric", "base", "head", "change", "verdict", "why")
NAMED = 3
"""Tests of a kind that are named; of the others their number is told."""


def rows(comparisons: Iterable[Comparison]) -> list[tuple[Comparison, tuple[str, ...]]]:
    """Return the comparisons of two values, regressions first, each with the texts of its columns."""
    chosen = [comparison for comparison in comparisons if comparison.change in TOLD_APART]
    chosen.sort(key=lambda comparison: (not comparison.failing, TOLD_APART.index(comparison.change)))
    return [(comparison, _texts(comparison)) for comparison in chosen]


def _texts(comparison: Comparison) -> tuple[str, ...]:
    metric, base, head = comparison.metric, comparison.base, comparison.head
    if metric is None or base is None or head is None:
        raise ValueError(f"{comparison.change.value} has no values")
    return (
        printable(comparison.key.place),
        printable(metric.name),
        value_text(metric, base),
        value_text(metric, head),
        change_text(metric, head.value - base.value, comparison.ratio),
        f"{comparison.change.value}, fails" if comparison.failing else comparison.change.value,
        comparison.reason or smallest_text(metric, comparison.smallest),
    )


def value_text(metric: Metric, side: Side) -> str:
    """Return a side's value, and how far its samples lie from it."""
    beside = max(side.high - side.value, side.value - side.low)
    return (
        f"{metric.unit.format(side.value)} ±{metric.unit.format(beside)}" if beside else metric.unit.format(side.value)
    )


def change_text(metric: Metric, difference: Number, ratio: float | None) -> str:
    """Return the difference with its sign, and as a share or a multiple of the base."""
    if not difference:
        return "0"
    text = f"{'+' if difference > 0 else '-'}{metric.unit.format(abs(difference))}"
    if ratio is None:
        return text
    return f"{text} ({ratio:.2f} x)" if ratio >= 2 else f"{text} ({ratio - 1:+.1%})"


def smallest_text(metric: Metric, smallest: Number | None) -> str:
    """Return the smallest change that would have been seen."""
    return "" if smallest is None else f"more than {metric.unit.format(smallest)} would show"


def together(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield a line for each reason of what has no two values to compare, with the metrics and tests it holds for."""
    kinds: dict[tuple[Change, str], tuple[dict[str, None], dict[str, None]]] = {}
    for comparison in comparisons:
        if comparison.change not in TOLD_APART:
            metrics, tests = kinds.setdefault((comparison.change, comparison.reason), ({}, {}))
            metrics |= {} if comparison.metric is None else {comparison.metric.name: None}
            tests[comparison.key.place] = None
    for change in Change:
        for (kind, reason), (metrics, tests) in kinds.items():
            if kind is change:
                of = f"{', '.join(metrics)} of " if metrics else ""
                yield printable(f"{change.value}: {of}{_some(list(tests))}{': ' if reason else ''}{reason}")


def _some(tests: Sequence[str]) -> str:
    more = len(tests) - NAMED
    return ", ".join(tests) if more <= 0 else f"{', '.join(tests[:NAMED])} and {more:,} more"


def headline(outcome: Outcome) -> str:
    """Return the upshot in a few words."""
    tests = len({comparison.key for comparison in outcome.failing})
    if tests:
        return f"{counted(len(outcome.failing), 'memory regression')} in {counted(tests, 'test')}"
    return "No memory regression" if outcome.judged else "Memory: nothing could be judged"


def summary(outcome: Outcome) -> str:
    """Return how many metrics came to each verdict."""
    counts = [f"{outcome.counts[change]:,} {change.value}" for change in Change if outcome.counts[change]]
    return ", ".join(counts) or "nothing to compare"
