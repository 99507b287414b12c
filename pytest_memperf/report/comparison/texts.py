"""The words of a comparison, which every format for readers has."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pytest_memperf.model.comparison import TOLD_APART, Change, Comparison, Several, Side
from pytest_memperf.model.metric import Metric
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.units import Number
from pytest_memperf.report.plural import counted
from pytest_memperf.report.rows import natural
from pytest_memperf.report.table import printable

COLUMNS = ("test", "metric", "base", "head", "change", "verdict", "why")
NAMED = 3
"""Tests of a kind that are named; of the others their number is told."""


def _by_change(comparison: Comparison) -> float:
    """Return the key of the sort by size: twice as much is as large a change as half, and from or to 0 the largest."""
    ratio = comparison.ratio
    if not comparison.difference:
        return 0.0
    return -abs(math.log(ratio)) if ratio is not None and ratio > 0 else -math.inf


def _metric_name(comparison: Comparison) -> str:
    return comparison.metric.name if comparison.metric else ""


SORTS: Mapping[str, Callable[[Comparison], Any]] = {
    "verdict": lambda comparison: (not comparison.failing, TOLD_APART.index(comparison.change)),
    "change": _by_change,
    "name": lambda comparison: (natural(comparison.key.place), _metric_name(comparison)),
}
UNGROUPED = "none"
GROUPS: Mapping[str, Callable[[Comparison], str]] = {
    UNGROUPED: lambda comparison: "",
    "test": lambda comparison: comparison.key.place,
    "metric": _metric_name,
}


class Order(NamedTuple):
    """The order of the rows: words of ``SORTS`` and ``GROUPS``; a group stands where its first row would."""

    sort: str = "verdict"
    group: str = UNGROUPED


USUAL = Order()


def rows(comparisons: Iterable[Comparison], order: Order = USUAL) -> list[tuple[Comparison, tuple[str, ...]]]:
    """Return the comparisons of two values in this order, each with the texts of its columns."""
    chosen = [comparison for comparison in comparisons if comparison.change in TOLD_APART]
    chosen.sort(key=SORTS[order.sort])
    groups: dict[str, list[Comparison]] = {}
    for comparison in chosen:
        groups.setdefault(GROUPS[order.group](comparison), []).append(comparison)
    return [(comparison, _texts(comparison)) for group in groups.values() for comparison in group]


def _texts(comparison: Comparison) -> tuple[str, ...]:
    metric, base, head = comparison.metric, comparison.base, comparison.head
    if metric is None or base is None or head is None:
        raise ValueError(f"{comparison.change.value} has no values")
    texts = (
        comparison.key.place,
        metric.name,
        value_text(metric, base),
        value_text(metric, head),
        change_text(metric, head.value - base.value, comparison.ratio),
        f"{comparison.change.value}, fails" if comparison.failing else comparison.change.value,
        comparison.words or smallest_text(metric, comparison.smallest),
    )
    return tuple(map(printable, texts))


def sentence(texts: Sequence[str]) -> str:
    """Return the texts of a row in one line, without the test."""
    _, metric, base, head, change, _, why = texts
    return ": ".join(filter(None, (f"{metric} {base} -> {head}, {change}", why)))


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


@dataclass(slots=True)
class _Kind:
    """What has one verdict for one reason; names are the keys of dictionaries, in their order."""

    metrics: dict[str, None] = field(default_factory=dict)
    tests: dict[str, None] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    """Of each comparison; one that is alone has a detail of its own."""


def together(comparisons: Iterable[Comparison], several: Iterable[Several] = ()) -> Iterator[str]:
    """Yield a line for each reason of what has no two values to compare, with the metrics and tests it holds for."""
    kinds: dict[tuple[Change, str], _Kind] = {}
    for comparison in comparisons:
        if comparison.change not in TOLD_APART:
            kind = kinds.setdefault((comparison.change, comparison.reason), _Kind())
            kind.words.append(comparison.words)
            kind.tests[comparison.key.place] = None
            if comparison.metric is not None:
                kind.metrics[comparison.metric.name] = None
    for each in several:
        kind = kinds.setdefault((each.change, each.reason), _Kind())
        kind.words.append(each.reason)
        kind.tests.update(dict.fromkeys(key.place for key in each.keys))
        kind.metrics.update(dict.fromkeys(metric.name for metric in each.metrics))
    for change in Change:
        for (said, reason), kind in kinds.items():
            if said is change:
                of = f"{', '.join(kind.metrics)} of " if kind.metrics else ""
                reason = kind.words[0] if len(kind.words) == 1 else reason
                yield printable(f"{change.value}: {of}{_some(list(kind.tests))}{': ' if reason else ''}{reason}")


def _some(tests: Sequence[str]) -> str:
    more = len(tests) - NAMED
    return ", ".join(tests) if more <= 0 else f"{', '.join(tests[:NAMED])} and {more:,} more"


def explanations(outcome: Outcome) -> Iterator[str]:
    """Yield where what became worse comes from, a line each."""
    for test, lines in outcome.explanations.items():
        yield from (printable(f"{test}: {line}") for line in lines)


def headline(outcome: Outcome) -> str:
    """Return the upshot in a few words."""
    tests = len({comparison.key.test for comparison in outcome.failing})
    found = []
    if tests:
        found.append(f"{counted(len(outcome.failing), 'memory regression')} in {counted(tests, 'test')}")
    if outcome.failed:
        found.append(f"{counted(len(outcome.failed), 'failure')} on head")
    upshot = ", ".join(found) or ("No memory regression" if outcome.judged else "Memory: nothing could be judged")
    if outcome.interrupted:
        upshot += " before it was interrupted"
    return f"{upshot} on {printable(outcome.host)}" if outcome.host else upshot


def failures(outcome: Outcome) -> Iterator[str]:
    """Yield what fails on head, whatever became of its metrics, a line each."""
    for name, reason in outcome.failed.items():
        what = "fails" if "::" in name else "cannot be imported"
        yield printable(f"{name} {what} on head: {reason}")


def summary(outcome: Outcome) -> str:
    """Return how many metrics came to each verdict."""
    counts = [f"{outcome.counts[change]:,} {change.value}" for change in Change if outcome.counts[change]]
    return ", ".join(counts) or "nothing to compare"
