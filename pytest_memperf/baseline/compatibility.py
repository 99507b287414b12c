"""Whether what two environments measured can be compared, and what tells them apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_memperf.model.environment import Environment
from pytest_memperf.model.metric import Trust

DECIDES_COUNTS = (
    "kernel", "architecture", "page_size", "thp", "thp_sizes", "allocator", "allocator_tuning",
    "python", "numpy", "numpy_huge_pages", "plugins", "libraries",
)  # fmt: skip
"""What page faults and resident memory depend on, whichever the machine."""
_LOADED = "libraries"
"""Depends on the tests that ran: one that a side has not loaded tells nothing."""
DECIDES_TIMES = ("machine", "cpu", "cpus", "affinity", "cgroup")
"""Beside these, what the speed depends on: times compare within one machine only."""


@dataclass(frozen=True, slots=True)
class Differences:
    """What tells two environments apart, in words, ``kernel 6.17.0 and 6.18.1`` for example."""

    counts: tuple[str, ...] = ()
    times: tuple[str, ...] = ()

    def reason(self, trust: Trust) -> str:
        """Return why metrics of this trust cannot be compared, or nothing where they can."""
        return ", ".join((*self.counts, *self.times) if trust is Trust.NOISY else self.counts)


def differences(base: Environment, head: Environment) -> Differences:
    """Return what tells the environments apart; what one of them does not know tells nothing."""
    return Differences(tuple(_named(DECIDES_COUNTS, base, head)), tuple(_named(DECIDES_TIMES, base, head)))


def _named(names: tuple[str, ...], base: Environment, head: Environment) -> Iterator[str]:
    for name in names:
        ours, theirs = getattr(base, name), getattr(head, name)
        if ours is None or theirs is None or ours == theirs:
            continue
        if name == _LOADED:
            ours = {each: version for each, version in ours.items() if each in theirs}
            theirs = {each: theirs[each] for each in ours}
        if isinstance(ours, Mapping):
            yield from (f"{name}: {each}" for each in entries_apart(ours, theirs))
        else:
            yield f"{name} {ours} and {theirs}"


def entries_apart(base: Mapping[str, Any], head: Mapping[str, Any]) -> Iterator[str]:
    """Yield the entries that differ, ``six 1.16.0 and 1.17.0`` for example; one that a side lacks is none there."""
    for entry in sorted({*base, *head}):
        ours, theirs = base.get(entry, "none"), head.get(entry, "none")
        if ours != theirs:
            yield f"{entry} {ours} and {theirs}"
