"""Which saved runs go."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.baseline.file_store import SavedRun
from pytest_memperf.baseline.pruning import parse_age, unwanted
from pytest_memperf.model.errors import UsageMistake

NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)


def runs(*days: int) -> list[SavedRun]:
    """Return runs of so many days ago."""
    times = [NOW - datetime.timedelta(days=day) for day in days]
    names = [f"{number:04}_abcdef123456_{time:%Y%m%dT%H%M%S}.json" for number, time in enumerate(times, 1)]
    return [SavedRun(number, Path(name)) for number, name in enumerate(names, 1)]


@pytest.mark.parametrize(
    ("text", "hours"), [("12h", 12), ("90d", 90 * 24), ("8w", 8 * 7 * 24), (" 0d ", 0), ("876000h", 876_000)]
)
def test_ages(text: str, hours: int) -> None:
    """Hours, days and weeks."""
    assert parse_age(text) == datetime.timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "90", "d", "90 d", "-1d", "1m", "1.5d", "9999999w", "876001h", "٣d"])
def test_what_is_no_age(text: str) -> None:
    """One line with examples."""
    with pytest.raises(UsageMistake, match=r"is no age: write a number of hours, days or weeks, such as 12h"):
        parse_age(text)


@pytest.mark.parametrize(
    ("keep", "older", "gone"),
    [
        (2, None, [1, 2]),
        (0, None, [1, 2, 3, 4]),
        (9, None, []),
        (None, "30d", [1, 2]),
        (None, "20d", [1, 2]),
        (3, "30d", [1]),
        (0, "365d", []),
    ],
)
def test_what_goes(keep: int | None, older: str | None, gone: list[int]) -> None:
    """With both, what is beyond the number and older."""
    found = unwanted(runs(100, 50, 20, 1), keep, parse_age(older) if older else None, NOW)
    assert [run.number for run in found] == gone


def test_a_time_that_is_none() -> None:
    """Such a file's age is not known, so it stays."""
    (run,) = runs(100)
    strange = SavedRun(1, Path(run.path.name.replace(run.path.name.split("_")[2], "20269999T999999.json")))
    assert unwanted([strange], None, parse_age("1d"), NOW) == []


@given(st.lists(st.integers(0, 500), max_size=20), st.integers(0, 25), st.integers(0, 500))
def test_never_one_that_is_wanted(days: list[int], keep: int, age: int) -> None:
    """The last ones and the young ones stay, whatever the order of their times."""
    every = runs(*days)
    found = unwanted(every, keep, datetime.timedelta(days=age), NOW)
    assert not set(found) & set(every[max(len(every) - keep, 0) :])
    assert all(days[run.number - 1] > age for run in found)
