"""Which saved runs are no longer wanted: those beyond a number, those older than a time."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence

from pytest_memperf.baseline.store import StoredRun
from pytest_memperf.model.errors import UsageMistake

_UNITS = {"h": 1, "d": 24, "w": 7 * 24}
_LONGEST = 100 * 365 * 24
"""Hours, a century."""


def parse_age(text: str) -> datetime.timedelta:
    """Return the time of ``90d``, ``12h`` or ``8w``. UsageMistake otherwise."""
    match = re.fullmatch(r"([0-9]{1,7})([hdw])", text.strip())
    hours = int(match[1]) * _UNITS[match[2]] if match else -1
    if not 0 <= hours <= _LONGEST:
        raise UsageMistake(f"{text!r} is no age: write a number of hours, days or weeks, such as 12h, 90d or 8w")
    return datetime.timedelta(hours=hours)


def unwanted(
    runs: Sequence[StoredRun], keep: int | None, older: datetime.timedelta | None, now: datetime.datetime
) -> list[StoredRun]:
    """Return the runs that go: not one of the last ``keep``, and older than that; either may be left open.

    Args:
        runs: the oldest first.
        now: a time with its zone.
    """
    candidates = runs if keep is None else runs[: max(len(runs) - keep, 0)]
    return [run for run in candidates if older is None or now - run.saved_at > older]
