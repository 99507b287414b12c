"""Why a test became worse: what one more run of each side, followed line by line, has more on head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_memperf.model.units import BYTES, COUNT, Unit

LINES = 3
"""So many are named, the largest first."""
SHARE = 0.1
"""Of the whole difference: what has less of it is no reason."""


def reasons(base: Mapping[str, Any], head: Mapping[str, Any], metrics: Iterable[str]) -> list[str]:
    """Return where the faults and the bytes of head come from that base has not.

    Args:
        base: of ``Attribution.as_json``, as for head.
        metrics: what became worse; of the peak nothing is said where that did not, nor of anything else where only
            that did.
    """
    of_peak = ["peak" in metric for metric in metrics]
    beside_peak = not all(of_peak)
    found: list[str] = []
    if beside_peak:
        found += _lines(base["faults"], head["faults"], COUNT, "faults more")
    if any(of_peak):
        found += _lines(base["peak"], head["peak"], BYTES, "more at the peak")
        found += _mappings(base["growth_at_peak"], head["growth_at_peak"], "more at the peak")
    if beside_peak:
        found += _mappings(base["growth"], head["growth"], "more at the end")
    return found


def _lines(base: list[list[Any]], head: list[list[Any]], unit: Unit, what: str) -> Iterator[str]:
    """Yield the lines with more; a line is known by its text, for its number may have changed."""
    before: Counter[tuple[str, str]] = Counter()
    for file, _, text, count in base:
        before[file, text] += count
    now: Counter[tuple[str, str]] = Counter()
    numbers: dict[tuple[str, str], int] = {}
    for file, line, text, count in head:
        now[file, text] += count
        numbers.setdefault((file, text), line)
    for (file, text), count in _largest(before, now):
        yield f"{file}:{numbers[file, text]} {unit.format(count)} {what}: {text}"


def _mappings(base: Mapping[str, int], head: Mapping[str, int], what: str) -> Iterator[str]:
    """Yield the mappings that grew more."""
    for name, size in _largest(base, head):
        yield f"{name}: {BYTES.format(size)} {what}"


def _largest(base: Mapping[Any, int], head: Mapping[Any, int]) -> Iterator[tuple[Any, int]]:
    """Yield what head has more of, and how much, the largest first."""
    more = {place: head.get(place, 0) - base.get(place, 0) for place in {*base, *head}}
    whole = sum(amount for amount in more.values() if amount > 0)
    for place, amount in sorted(more.items(), key=lambda each: (-each[1], each[0]))[:LINES]:
        if amount > 0 and amount >= SHARE * whole:
            yield place, amount
