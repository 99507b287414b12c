"""The budgets of one window as a table: measured, limit, ratio, uncertainty, trust, verdict."""

from __future__ import annotations

from pytest_memperf.model.budget import Check, Status, Verdict
from pytest_memperf.model.result import Result
from pytest_memperf.report.table import Cell, align, printable, text_lines

HEAD = ("budget", "measured", "limit", "ratio", "± uncertainty", "trust", "verdict")
COLOURS = {
    Verdict.FAILED: {"red": True},
    Verdict.WARNED: {"yellow": True},
    Verdict.UNCHECKED: {"yellow": True},
    Verdict.PASSED: {},
}


def budget_table(result: Result) -> list[str]:
    """Return the lines: the window, a row for each budget, then the reasons and notes that belong to them."""
    rows = [[Cell(text) for text in row] for row in (HEAD, *(_row(check) for check in result.checks))]
    reasons = [
        f"{check.budget.keyword} was not checked: {check.reason}"
        for check in result.checks
        if check.status is Status.UNCHECKED
    ]
    return [
        title(result),
        *text_lines(align(rows, left=(0, 5, 6))),
        *reasons,
        *(f"note: {note}" for note in result.notes),
    ]


def title(result: Result) -> str:
    """Name the window, and what is special about how it was measured."""
    parts = [f"window {result.window!r}"]
    sampled = [(result.rounds, "rounds"), (result.layouts, "layouts")]
    samples = " in ".join(f"{count} {what}" for count, what in sampled if count > 1)
    if samples:
        parts.append(f"median of {samples}")
    if result.isolation != "inline":
        parts.append(f"isolation {result.isolation}")
    return ", ".join(parts)


def _row(check: Check) -> tuple[str, ...]:
    budget, measured = check.budget, check.measured
    if measured is None:
        return (
            printable(budget.keyword),
            "-",
            budget.metric.unit.exactly(budget.limit),
            "-",
            "-",
            "-",
            check.verdict.value,
        )
    value, limit = budget.metric.unit.side_by_side(measured.value, budget.limit)
    return (
        printable(budget.keyword),
        value,
        limit,
        "-" if check.ratio is None else f"{check.ratio:.2f}",
        budget.metric.unit.format(measured.uncertainty),
        measured.metric.trust.value,
        check.verdict.value,
    )
