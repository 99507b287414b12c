"""Values that have no unit: each function returns what was meant; the text of its UsageMistake says what to give."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

from pytest_memperf.model.errors import UsageMistake, nearest

ISOLATIONS = ("inline", "process")


def choice(value: Any, choices: Iterable[str]) -> str:
    """Return one of these words."""
    words = tuple(choices)
    if value not in words:
        raise UsageMistake(f"choose from {', '.join(map(repr, words))}{nearest(str(value), words)}")
    return str(value)


def integer(value: Any) -> int | None:
    """Return a whole number, Python's or NumPy's, as Python's; None for everything else, also for a truth value."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def whole(value: Any, least: int) -> int:
    """Return a whole number from ``least`` up."""
    number = integer(value)
    if number is None or number < least:
        raise UsageMistake(f"give a whole number from {least} up")
    return number


def switch(value: Any) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        raise UsageMistake("give True or False")
    return value


def duration(value: Any) -> float:
    """Return the seconds of a time above 0."""
    from pytest_memperf.model.units import parse_time  # which most sessions can do without

    try:
        seconds = parse_time(value)
    except UsageMistake:
        seconds = 0.0
    if seconds <= 0:
        raise UsageMistake("give a time above 0, such as 30 (seconds) or '2 min'")
    return seconds


def number_or_text(text: str) -> int | float | str:
    """Return the number that the text of an option or an ini file stands for, or else the text."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text
