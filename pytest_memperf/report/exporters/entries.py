"""What every format of other tools has: results under names of their own, with the metrics that are wanted."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pytest_memperf.model.metric import Measured
from pytest_memperf.model.result import Result, names_of
from pytest_memperf.report.result_lines import by_key


@dataclass(frozen=True, slots=True)
class Entry:
    """A result, and what other tools are told of it."""

    name: str
    """The test, with its window where that has a name; no other entry has the same."""
    result: Result
    metrics: Mapping[str, Measured]
    """Those that are wanted."""


def entries(results: Iterable[Result], metrics: Collection[str] | None = None) -> list[Entry]:
    """Return the entries of a run: of a test that ran twice the last result, and none that was perturbed.

    Args:
        metrics: the names of those that are wanted; None for all.
    """
    taken = by_key(results)
    names = names_of(taken)
    found = []
    for key, result in taken.items():
        if not result.perturbed:
            chosen = {each: of for each, of in result.metrics.items() if metrics is None or each in metrics}
            found.append(Entry(names[key], result, chosen))
    return found


def fitting(name: str, longest: int) -> str:
    """Return a name that a tool has room for: a longer one is cut, and told from others by a digest."""
    if len(name) <= longest:
        return name
    digest = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()[:16]
    return f"{name[: longest - len(digest) - 1]}~{digest}"
