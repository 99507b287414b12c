"""Times of an A/B run: once counts and bytes are told apart, the tests whose times strike get more pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import inf

from pytest_memperf.baseline.ab import noisy
from pytest_memperf.baseline.ab.sampling import Sampling
from pytest_memperf.baseline.paired import pairs_needed

LEAST_TIME, MOST_TIME = 8.0, 40.0
"""Seconds for all tests, where nobody said how many; and for those that are all but told."""
SHARE = 0.1
"""Of the time that counts and bytes took: so long times may take, if that is more."""
LEAST_EVIDENCE = 1.0, 7.0
"""Where there is no time for all tests that strike: at its beginning and at its end, see ``Pairs.evidence``."""
STRONG_EVIDENCE = 2.5
"""Of a test that is all but told."""


def usual_seconds(counted: float) -> tuple[float, float]:
    """Return how long ``decide`` takes where nobody says so, after so many seconds for counts and bytes."""
    seconds = max(LEAST_TIME, SHARE * counted)
    return seconds, max(seconds, MOST_TIME)


class Times:
    """The tests of a run whose times are to be told apart.

    Args:
        looks: how many times the run looks at in all: the more there are, the more often chance looks like a change.
    """

    def __init__(self, looks: int) -> None:
        self._level = noisy.level(looks)
        self._samplings: list[Sampling] = []
        self.waiting: list[Sampling] = []
        """Those that more pairs would tell more of."""
        self.looks = 0
        """How many times of windows there were to look at."""

    def add(self, sampling: Sampling) -> None:
        """Take a test up where its first pairs strike, or where it asks for a time; what they tell needs no more."""
        if sampling.broken:
            return
        self.looks += sum(1 for _ in noisy.pairs_of(*sampling.results))
        if not [*self._looked_at(sampling)]:
            return
        self._samplings.append(sampling)
        if self._undecided(sampling):
            self.waiting.append(sampling)

    def decide(self, seconds: float, most: float, tell: Callable[[str], None]) -> None:
        """Take pairs of all that wait, round by round, until each is told or the time is over.

        Round by round, for a machine that is slow for a while is so for all of them then; what strikes by chance is
        out after a few.

        Args:
            seconds: for all of them.
            most: for those that are all but told by then.
        """
        began = time.monotonic()
        while going_on := self._going_on(time.monotonic() - began, seconds, most):
            for sampling in going_on:
                spent = time.monotonic() - began
                if spent > most or (spent > seconds and self._evidence(sampling) < STRONG_EVIDENCE):
                    break
                tell(f"times: {sampling.test}")
                sampling.go_on(sampling.pairs + 1)
                if not self._undecided(sampling) or sampling.pairs >= noisy.MOST_PAIRS:
                    self.waiting.remove(sampling)

    def _going_on(self, spent: float, seconds: float, most: float) -> list[Sampling]:
        """Return whose turn it is. Where the time left does not suffice for all, many have to let it go for good."""
        if spent > seconds:
            strong = (each for each in self.waiting if self._evidence(each) >= STRONG_EVIDENCE)
            return [*strong] if spent <= most else []
        enough = pairs_needed(self._level)
        if sum(each.pair_seconds * max(enough - each.pairs, 1) for each in self.waiting) > seconds - spent:
            first, last = LEAST_EVIDENCE
            least = first + (last - first) * min(spent / seconds, 1) if seconds else last
            self.waiting = [each for each in self.waiting if self._evidence(each) >= least]
        return [*self.waiting]

    def _evidence(self, sampling: Sampling) -> float:
        """Return the most of its times that are not told; of one that is asked for it is out of question."""
        first = sampling.samples[1][0].results
        every = (pairs for pairs in self._looked_at(sampling) if not self._is_told(pairs))
        return max((inf if noisy.is_asked(first, each.metric.name) else each.evidence for each in every), default=0.0)

    @property
    def broken(self) -> list[Sampling]:
        """The tests that came to their end at first, and later did not."""
        return [sampling for sampling in self._samplings if sampling.broken]

    def found(self) -> Iterator[noisy.Pairs]:
        """Yield the pairs that are to be judged: of what strikes still, or was asked for."""
        for sampling in self._samplings:
            if not sampling.broken:
                yield from self._looked_at(sampling)

    def _undecided(self, sampling: Sampling) -> bool:
        return not sampling.broken and any(not self._is_told(pairs) for pairs in self._looked_at(sampling))

    def _is_told(self, pairs: noisy.Pairs) -> bool:
        found = pairs.found
        return found.same or found.different(self._level)

    def _looked_at(self, sampling: Sampling) -> Iterator[noisy.Pairs]:
        """Yield those that strike or that the test asks for."""
        for pairs in noisy.pairs_of(*sampling.results):
            if pairs.striking or noisy.is_asked(sampling.samples[1][0].results, pairs.metric.name):
                yield pairs
