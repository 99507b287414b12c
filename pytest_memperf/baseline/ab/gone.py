"""The tests that base had and head has no more."""

from __future__ import annotations

from pytest_memperf.baseline.ab.side import Side
from pytest_memperf.model.comparison import Change, Comparison
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import Key


def tests_of(side: Side) -> list[str]:
    """Return the tests that a side collects, and end it; none where it cannot: its files may not be there yet."""
    try:
        side.collect()
    except UsageMistake:
        return []
    finally:
        side.close()
    return side.tests


def add_gone(outcome: Outcome, former: list[str], head: Side) -> None:
    """Add a row for each test that is gone; what head fails to import may hold it still."""
    there = {*head.tests}
    for test in former:
        if test not in there and test.partition("::")[0] not in head.uncollected:
            outcome.add(Comparison(Key(test, "call", "", "process"), None, Change.GONE))
