"""A comparison as a table of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from _pytest._io import TerminalWriter

from pytest_memperf.model.comparison import Change
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.report.comparison.texts import COLUMNS, USUAL, Order, explanations, rows, summary, together
from pytest_memperf.report.table import Cell, align, printable, write_rows

COLOURS: dict[Change, dict[str, bool]] = {
    Change.WORSE: {"red": True},
    Change.BETTER: {"green": True},
    Change.CHANGED: {"yellow": True},
}


def write(write: Callable[..., object], outcome: Outcome, limit: int | None = None, order: Order = USUAL) -> None:
    """Write the rows of what changed, then what could not be compared, then the counts.

    Args:
        write: takes a text and its markup, as pytest's TerminalReporter and TerminalWriter do.
        limit: rows and lines of a kind; None for all.
    """
    if outcome.host:
        write(f"host: {printable(outcome.host)}\n", bold=True)
    write(f"base: {printable(outcome.base)}\nhead: {printable(outcome.head)}\n")
    found = rows(outcome.comparisons, order)
    if found:
        table = [[Cell(text, {"bold": True}) for text in COLUMNS]]
        for comparison, texts in found[:limit]:
            colour = COLOURS.get(comparison.change, {})
            table.append(
                [Cell(text, colour if name == "verdict" else {}) for name, text in zip(COLUMNS, texts, strict=True)]
            )
        write_rows(write, align(table, left=(0, 1, 5, 6)))
    for line in explanations(outcome):
        write(f"{line}\n")
    for line in outcome.notes:
        write(f"{printable(line)}\n", yellow=True)
    lines = list(together(outcome.comparisons, outcome.several))
    for line in lines[:limit]:
        write(line + "\n", yellow=True)
    if limit is not None and max(len(found), len(lines)) > limit:
        more = max(len(found) - limit, 0) + max(len(lines) - limit, 0)
        write(f"... and {more:,} more (-v)\n")
    write(f"{summary(outcome)}\n", bold=True)


def write_all(file: TextIO, outcomes: list[Outcome], order: Order = USUAL) -> None:
    """Write each outcome, with colours where the file is a terminal."""
    for outcome in outcomes:
        write(TerminalWriter(file).write, outcome, order=order)
