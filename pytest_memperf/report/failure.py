"""The report of a failed budget: one line for the summary, a table for the reader, no traceback."""

from __future__ import annotations

import pytest
from _pytest._code.code import ReprEntryNative, ReprExceptionInfo, ReprFileLocation, ReprTraceback

from pytest_memperf.model.result import Result
from pytest_memperf.report.table import budget_table


def _representation(item: pytest.Item, line: str, text: str) -> ReprExceptionInfo:
    # pytest's own classes, because these are what it can carry from a worker to the controller.
    path, line_number, _ = item.location
    place = ReprFileLocation(path, (line_number or 0) + 1, line)
    return ReprExceptionInfo(
        reprcrash=place,
        reprtraceback=ReprTraceback(reprentries=[ReprEntryNative([f"{text}\n"])], extraline=None, style="native"),
    )


def budget_failure(item: pytest.Item, sentence: str, results: list[Result]) -> ReprExceptionInfo:
    """Return the budgets of the windows that failed, as a table."""
    tables = "\n\n".join("\n".join(budget_table(result)) for result in results)
    return _representation(item, sentence, tables)


def mistake_failure(item: pytest.Item, sentence: str) -> ReprExceptionInfo:
    """Return a user's mistake as its one line."""
    return _representation(item, sentence, f"pytest-memperf: {sentence}")
