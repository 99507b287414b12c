"""Times of an A/B run: once counts and bytes are told apart, the tests whose times strike get more pairs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from math import inf
from operator import itemgetter
from typing import NamedTuple

from pytest_memperf.baseline.ab import noisy
from pytest_memperf.baseline.ab.sampling import Sampling
from pytest_memperf.baseline.paired import LEAST_PAIRS, Paired, pairs_needed

LEAST_TIME = 8.0
"""Seconds for all tests, where nobody said how many."""
SHORT_RUN = 40.0
"""Seconds from its beginning that a run may take in any case, for tests that can be told by then."""
SHARE = 0.1
"""Of the time that counts and bytes took: so long times may take, if that is more."""
LEAST_EVIDENCE = 1.0, 7.0
"""Where there is no time for all tests that strike: at its beginning and at its end, see ``Pairs.evidence``."""
FORETOLD = 2
"""How many times as many pairs as are taken may be foretold: what few of them foretell is as uncertain as they are."""
FEW = 2
"""So many tests go on as long as there is time, whatever is foretold."""
ALL_BUT_TOLD = 2.0 ** (1 - LEAST_PAIRS)
"""The probability of ``LEAST_PAIRS`` pairs that all point one way, between equal sides: what is as improbable as that
is all but told."""
BY_CHANCE = 0.5
"""So many tests of a run may be all but told by chance: where few times are looked at, weaker evidence is that."""
ALL_BUT_TOLD_TIME = 40.0
"""Seconds that times may take, however long counts took, for tests that are all but told."""
LAST_TIME = 120.0
"""And for the last few of these, whose pairs take long, until they are ``TIMES_NEEDED`` times those that can tell."""
TIMES_NEEDED = 2


class Seconds(NamedTuple):
    """How long times may take."""

    striking: float
    """For all tests that strike."""
    foretold: float
    """For those whose pairs foretell that they will be told by then, and for the last few."""
    all_but_told: float
    """For those of which the same holds, and that are all but told."""
    last: float
    """For the last few of these, until they have had a fair number of pairs."""


def usual_seconds(counted: float) -> Seconds:
    """Return how long ``decide`` takes where nobody says so, after so many seconds for counts and bytes."""
    seconds = max(LEAST_TIME, SHARE * counted)
    return Seconds(
        striking=seconds,
        foretold=max(seconds, SHORT_RUN - counted),
        all_but_told=max(seconds, ALL_BUT_TOLD_TIME),
        last=max(seconds, LAST_TIME),
    )


class Times:
    """The tests of a run whose times are to be told apart.

    Args:
        looks: how many times the run looks at in all: the more there are, the more often chance looks like a change.
    """

    def __init__(self, looks: int) -> None:
        self._level = noisy.level(looks)
        self._nearly = max(ALL_BUT_TOLD, BY_CHANCE / max(looks, 1))
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

    def decide(self, seconds: Seconds, tell: Callable[[str], None]) -> None:
        """Take pairs of all that wait, round by round, until each is told or the time is over.

        Round by round, for a machine that is slow for a while is so for all of them then; what strikes by chance is
        out after a few.
        """
        began = time.monotonic()
        while True:
            spent = time.monotonic() - began
            going_on, end = self._promising(spent, seconds.striking), seconds.striking
            if not going_on:
                going_on, end = self._foretold_or_last(self.waiting, seconds.foretold - spent), seconds.foretold
            if not going_on:
                nearly = [*filter(self._is_all_but_told, self.waiting)]
                going_on, end = self._foretold_or_last(nearly, seconds.all_but_told - spent), seconds.all_but_told
                if not going_on and len(nearly) <= FEW and spent < seconds.last:
                    fair = TIMES_NEEDED * pairs_needed(self._level)
                    going_on, end = [each for each in nearly if each.pairs < fair], seconds.last
            if not going_on:
                return
            for sampling in going_on:
                if time.monotonic() - began > end:
                    break
                tell(f"times: {sampling.test}")
                sampling.time_once_more()
                if not self._undecided(sampling) or sampling.pairs >= noisy.MOST_PAIRS:
                    self.waiting.remove(sampling)

    def _promising(self, spent: float, seconds: float) -> list[Sampling]:
        """Return whose turn it is while there is time for all. Where it does not suffice, many have to let it go."""
        if spent > seconds:
            return []
        enough = pairs_needed(self._level)
        if sum(each.pair_seconds * max(enough - each.pairs, 1) for each in self.waiting) <= seconds - spent:
            return [*self.waiting]
        first, last = LEAST_EVIDENCE
        least = first + (last - first) * min(spent / seconds, 1) if seconds else last
        return [each for each in self.waiting if self._evidence(each) >= least]

    def _foretold_or_last(self, samplings: Sequence[Sampling], seconds: float) -> list[Sampling]:
        """Return those that will be told in time, if their pairs to come are like the ones before; the last few all."""
        if len(samplings) <= FEW:
            return [*samplings] if seconds > 0 else []
        needed = sorted(((self._seconds_needed(each), each) for each in samplings), key=itemgetter(0))
        until = accumulate(each for each, _ in needed)
        return [sampling for end, (_, sampling) in zip(until, needed, strict=True) if end <= seconds]

    def _is_all_but_told(self, sampling: Sampling) -> bool:
        every = (pairs.found for pairs in self._looked_at(sampling))
        return any(found.different(self._nearly) and not self._is_told(found) for found in every)

    def _seconds_needed(self, sampling: Sampling) -> float:
        """Return how long the pairs take that would tell the first of its times."""
        every = (pairs.found for pairs in self._looked_at(sampling))
        needed = [self._pairs_needed(found) for found in every if not self._is_told(found)]
        return sampling.pair_seconds * min(needed, default=0)

    def _pairs_needed(self, found: Paired) -> float:
        """Return how many more may tell this one; infinity where far more would than are taken."""
        whole = found.needed(self._level) or pairs_needed(self._level)
        return max(min(whole, noisy.MOST_PAIRS) - found.pairs, 1) if whole <= FORETOLD * noisy.MOST_PAIRS else inf

    def _evidence(self, sampling: Sampling) -> float:
        """Return the most of its times that are not told; of one that is asked for it is out of question."""
        first = sampling.samples[1][0].results
        every = (pairs for pairs in self._looked_at(sampling) if not self._is_told(pairs.found))
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
        return not sampling.broken and any(not self._is_told(pairs.found) for pairs in self._looked_at(sampling))

    def _is_told(self, found: Paired) -> bool:
        return found.same or found.different(self._level)

    def _looked_at(self, sampling: Sampling) -> Iterator[noisy.Pairs]:
        """Yield those that strike or that the test asks for."""
        for pairs in noisy.pairs_of(*sampling.results):
            if pairs.striking or noisy.is_asked(sampling.samples[1][0].results, pairs.metric.name):
                yield pairs
