"""One test on both sides, in turns: A B B A, each pair in another layout of memory."""

from __future__ import annotations

import time

from pytest_memperf.baseline.ab.side import Sample, Side
from pytest_memperf.model.result import Result

LAYOUTS = (3, 8, 12)
"""Of each side: enough where both agree exactly, where they are the same by their spread, and for a difference.

Eight a side lie apart by chance once in 6,435, which is too often for hundreds of tests; twelve once in 1,352,078.
"""


class Sampling:
    """The samples of a test so far, and the way to more.

    Args:
        max_retakes: how often a sample that the machine spoilt is taken anew.
    """

    def __init__(self, base: Side, head: Side, test: str, max_retakes: int) -> None:
        self._sides = base, head
        self._max_retakes = max_retakes
        self.test = test
        self.samples: tuple[list[Sample], list[Sample]] = ([], [])
        self.pair_seconds = 0.0
        """How long the last pair took."""

    @property
    def pairs(self) -> int:
        """How many runs each side has."""
        return len(self.samples[1])

    @property
    def broken(self) -> bool:
        """Whether the test could not run to its end on one of them, so that more would tell no more."""
        return any(samples[-1].failure or samples[-1].skipped for samples in self.samples if samples)

    @property
    def spoilt(self) -> list[str]:
        """What the machine did in samples that were not to be had otherwise."""
        return [words for samples in self.samples for sample in samples for words in sample.spoilt]

    def go_on(self, pairs: int) -> bool:
        """Run it until there are so many; return whether it ran to its end."""
        layouts = {number % LAYOUTS[-1] for number in range(self.pairs, pairs)}
        for side in self._sides:
            side.prepare(self.test, layouts)
        for side in self._sides:
            side.wait()
        while self.pairs < pairs:
            began = time.monotonic()
            layout = self.pairs % LAYOUTS[-1]
            for side in self._sides:
                side.fork_ahead(self.test, layout)  # of both at once, and before either runs, which it would disturb
            for side in self._sides:
                side.wait()
            turns = [*zip(self._sides, self.samples, strict=True)]
            for side, samples in turns if self.pairs % 2 == 0 else turns[::-1]:
                samples.append(side.run(self.test, layout, self._max_retakes))
            self.pair_seconds = time.monotonic() - began
            if self.broken:
                return False
        return True

    def run_head(self) -> None:
        """Run it once, on head alone."""
        self.samples[1].append(self._sides[1].run(self.test, 0))

    @property
    def results(self) -> tuple[list[list[Result]], list[list[Result]]]:
        """The results of each run that has its partner: an interrupt may come between the two of a pair."""
        pairs = min(map(len, self.samples))
        base, head = ([sample.results for sample in samples[:pairs]] for samples in self.samples)
        return base, head
