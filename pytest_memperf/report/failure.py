"""The report of a failed budget: one line for the summary, a table for the reader, no traceback."""

from __future__ import annotations

import traceback

import pytest
from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback
from _pytest._io import TerminalWriter

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import Result
from pytest_memperf.report.budgets import COLOURS, budget_table


class BudgetEntry(ReprEntryNative):
    """The table on a terminal: each row in the colour of its verdict, which is its last word."""

    def toterminal(self, tw: TerminalWriter) -> None:
        """Write the lines."""
        colours = {verdict.value: markup for verdict, markup in COLOURS.items()}
        for line in "".join(self.lines).splitlines():
            tw.line(line, **colours.get(line.rpartition(" ")[2], {}))


def _place(item: pytest.Item, sentence: str, error: BaseException | None = None) -> ReprFileLocation:
    """Return where the test stands, or the line of its file that led to the error."""
    path, before, _ = item.location
    line = (before or 0) + 1
    for frame, at in traceback.walk_tb(error.__traceback__ if error else None):
        if frame.f_code.co_filename == str(item.path):
            line = at
    return ReprFileLocation(path, line, sentence)


def _representation(item: pytest.Item, place: ReprFileLocation, text: str) -> ReprExceptionInfo:
    # pytest's own classes, because these are what it can carry from a worker to the controller.
    entries = [] if item.config.getoption("tbstyle", "auto") == "line" else [ReprEntryNative([f"{text}\n"])]
    return ReprExceptionInfo(
        reprcrash=place, reprtraceback=ReprTraceback(reprentries=entries, extraline=None, style="native")
    )


def budget_failure(item: pytest.Item, sentence: str, results: list[Result], details: str = "") -> ReprExceptionInfo:
    """Return the budgets of the windows that failed, as a table, or else these details."""
    tables = details or "\n\n".join("\n".join(budget_table(result)) for result in results)
    return _representation(item, _place(item, sentence), tables)


def mistake_failure(item: pytest.Item, mistake: UsageMistake) -> ReprExceptionInfo:
    """Return a user's mistake as its one line."""
    place = _place(item, str(mistake), mistake)
    return _representation(item, place, f"{place.path}:{place.lineno}: pytest-memperf: {mistake}")


def colour(report: pytest.TestReport) -> None:
    """Give the table of a report its colours, once it is where it is shown; a no-op for any other report."""
    shown = getattr(report.longrepr, "reprtraceback", None)
    if shown is not None:
        shown.reprentries = [
            BudgetEntry(entry.lines) if type(entry) is ReprEntryNative else entry for entry in shown.reprentries
        ]
