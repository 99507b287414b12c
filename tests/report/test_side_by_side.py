"""The table of ratios of tests that run under several libraries for malloc."""

from __future__ import annotations

import pytest

from pytest_memperf.metrics import BUILT_IN, Registry
from pytest_memperf.model.metric import Measured
from pytest_memperf.model.result import Result
from pytest_memperf.report.side_by_side import SideBySide, without_name
from pytest_memperf.report.table import text_lines

REGISTRY = Registry(BUILT_IN)


def result(test: str, allocator: str, window: str = "call", **values: float) -> Result:
    """Return a result with these values."""
    metrics = {name: Measured(REGISTRY[name], (value,)) for name, value in values.items()}
    return Result(test=test, window=window, allocator=allocator, metrics=metrics)


def lines(results: list[Result], *among: str, names: tuple[str, ...] = ("minor_faults", "peak_rss")) -> list[list[str]]:
    """Return the lines of each table."""
    gathered = SideBySide()
    for each in results:
        gathered.add(each, among)
    return [text_lines(table) for table, _ in gathered.tables(names, None)]


def test_ratios_to_the_first() -> None:
    """In the order of the mark, whichever came first; a metric that nobody has needs no row."""
    (table,) = lines(
        [
            result("t.py::test[b]", "b", minor_faults=50, peak_rss=3 << 20),
            result("t.py::test[a]", "a", minor_faults=100, peak_rss=2 << 20),
        ],
        "a",
        "b",
        names=("minor_faults", "peak_rss", "wall_time"),
    )
    assert table == [
        "test        metric            a       b",
        "t.py::test  minor_faults    100  0.50 x",
        "            peak_rss      2 MiB  1.50 x",
    ]


def test_ratios_to_nothing() -> None:
    """Where the first has 0 the figures themselves stand."""
    (table,) = lines([result("test[a]", "a", minor_faults=0), result("test[b]", "b", minor_faults=7)], "a", "b")
    assert table[1].split() == ["test", "minor_faults", "0", "7"]


def test_the_first_is_not_there() -> None:
    """Then the next one leads."""
    (table,) = lines([result("test[b]", "b", minor_faults=10), result("test[c]", "c", minor_faults=20)], "a", "b", "c")
    assert table[1].split() == ["test", "minor_faults", "-", "10", "2.00", "x"]


def test_windows_are_told_apart() -> None:
    """By a column that is there only where it says something."""
    (table,) = lines(
        [result("test[x-a]", "a", "parse", minor_faults=1), result("test[x-b]", "b", "parse", minor_faults=3)], "a", "b"
    )
    assert table[0].split() == ["test", "window", "metric", "a", "b"]
    assert table[1].split() == ["test[x]", "parse", "minor_faults", "1", "3.00", "x"]


def test_one_alone_has_no_table() -> None:
    """The others were skipped, or failed before they measured anything."""
    assert lines([result("test[a]", "a", minor_faults=1)], "a", "b") == []


def test_each_choice_has_its_table() -> None:
    """Their columns differ."""
    gathered = SideBySide()
    for test, among in (("one", ("a", "b")), ("two", ("b", "c"))):
        for name in among:
            gathered.add(result(f"{test}[{name}]", name, minor_faults=1), among)
    heads = [text_lines(table)[0].split()[2:] for table, _ in gathered.tables(["minor_faults"], None)]
    assert heads == [["a", "b"], ["b", "c"]]


def test_long_sessions_show_the_first() -> None:
    """As many tests as the table of results has, and how many more there are."""
    gathered = SideBySide()
    for number in range(5):
        for name in ("a", "b"):
            gathered.add(result(f"test_{number}[{name}]", name, minor_faults=1), ("a", "b"))
    ((table, more),) = gathered.tables(["minor_faults"], 3)
    assert [line.split()[0] for line in text_lines(table)[1:]] == ["test_0", "test_1", "test_2"]
    assert more == "... and 2 more tests: -v shows all"


@pytest.mark.parametrize(
    ("test", "base"),
    [("t[a]", "t"), ("t[x-a]", "t[x]"), ("t[a-x]", "t[a-x]"), ("t[xa]", "t[xa]"), ("t", "t")],
)
def test_names_without_the_library(test: str, base: str) -> None:
    """It is the last of the parameters."""
    assert without_name(test, "a") == base
