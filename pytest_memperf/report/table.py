"""Aligned tables of budgets and of results."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_memperf.model.budget import Check
from pytest_memperf.model.result import Result


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines, the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def budget_table(result: Result) -> list[str]:
    """Return a window's budgets: measured, limit, ratio, uncertainty, trust, verdict."""
    head = ("budget", "measured", "limit", "ratio", "± uncertainty", "trust", "verdict")
    return [f"window {result.window!r}", *align([head, *(_budget_row(check) for check in result.checks)])]


def _budget_row(check: Check) -> tuple[str, ...]:
    show = check.budget.metric.unit.format
    measured = check.measured
    if measured is None:
        return (
            check.budget.keyword,
            "-",
            show(check.budget.limit),
            "-",
            "-",
            "-",
            f"{check.status.value}: {check.reason}",
        )
    return (
        check.budget.keyword,
        show(measured.value),
        show(check.budget.limit),
        "-" if check.ratio is None else f"{check.ratio:.2f}",
        show(measured.uncertainty),
        measured.metric.trust.value,
        check.status.value,
    )
