"""One test on both sides, in turns: A B B A, each pair in another layout of memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from pytest_memperf.baseline.ab.side import Sample, Side
from pytest_memperf.model.metric import Trust
from pytest_memperf.model.result import Key, Result
from pytest_memperf.model.units import Number

LAYOUTS = (3, 8, 12)
"""Of each side: enough where both agree exactly, where they are the same by their spread, and for a difference.

Eight a side lie apart by chance once in 6,435, which is too often for hundreds of tests; twelve once in 1,352,078.
"""
RENEWED = 4
"""Of the pairs that are taken for their times, one in so many has another layout: to start one takes as long as two or
three pairs of a short test, and nothing but their number makes times more certain."""
WIDE, WIDE_BYTES = 1.5, 1 << 17
"""How many times as uncertain as the best sample's, and how uncertain at least, bytes are that are measured anew."""


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
        self._layouts = 0
        """How many are ready for it."""
        self._sharpened = 0
        """Pairs that were taken anew, for the test changed its processor."""

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

    def go_on(self, pairs: int, sharp: bool = False) -> bool:
        """Run it until there are so many; return whether it ran to its end.

        Args:
            sharp: have bytes as certain as they can be.
        """
        self._start(min(pairs, LAYOUTS[-1]))
        while self.pairs < pairs and not self.broken:
            self._one_more(self.pairs % LAYOUTS[-1])
        if sharp and not self.broken:
            self._sharpen()
        return not self.broken

    def time_once_more(self) -> None:
        """Run one more pair for its times, mostly in a layout of those before."""
        if self.pairs % RENEWED == 0 and self._layouts < LAYOUTS[-1]:
            layout = self._layouts
            self._start(layout + 1)
        else:
            layout = self.pairs % self._layouts
        self._one_more(layout)

    def _start(self, layouts: int) -> None:
        """Have both sides ready to run it in so many layouts."""
        for side in self._sides:
            side.prepare(self.test, range(layouts))
        for side in self._sides:
            side.wait()
        self._layouts = max(layouts, self._layouts)

    def _one_more(self, layout: int) -> None:
        """Run one more pair."""
        began = time.monotonic()
        self._keep(self._pair(self.pairs, layout), self.pairs)
        self.pair_seconds = time.monotonic() - began

    def _pair(self, number: int, layout: int) -> tuple[Sample, Sample]:
        """Run the pair of this number in a layout, and return the samples of base and head."""
        for side in self._sides:
            side.fork_ahead(self.test, layout)  # of both at once, and before either runs, which it would disturb
        for side in self._sides:
            side.wait()
        turns = self._sides if number % 2 == 0 else self._sides[::-1]
        found = [side.run(self.test, layout, self._max_retakes) for side in turns]
        base, head = found if number % 2 == 0 else found[::-1]
        return base, head

    def _sharpen(self) -> None:
        """Take the pairs anew in which bytes are known far worse than they can be: the test changed its processor.

        At most half as many as there are: where it nearly always does so, another try is no better.
        """
        for _ in range(self._max_retakes):
            for number in self._wide():
                if self.broken or 2 * self._sharpened >= self.pairs:
                    return
                self._take_anew(number)

    def _wide(self) -> list[int]:
        """Return the pairs in which bytes are known far worse than in the best of all samples."""
        least = _widths([sample for samples in self.samples for sample in samples], min)
        return [number for number, pair in enumerate(zip(*self.samples, strict=True)) if _is_wide(pair, least)]

    def _take_anew(self, number: int) -> None:
        """Run a pair once more, in place of the one before; for nothing where base fails or the machine spoils it."""
        self._sharpened += 1
        pair = self._pair(number, number % LAYOUTS[-1])
        for side in self._sides:
            side.retaken += 1
        if pair[1].failure:  # a failure on head is one, whenever it comes
            self._keep(pair, self.pairs)
        elif not any(sample.failure or sample.skipped or sample.spoilt for sample in pair):
            self._keep(pair, number)

    def _keep(self, pair: tuple[Sample, Sample], number: int) -> None:
        """Keep the pair under this number: in place of what is there, or as one more."""
        for samples, sample in zip(self.samples, pair, strict=True):
            samples[number : number + 1] = [sample]

    def run_head(self) -> None:
        """Run it once, on head alone."""
        self.samples[1].append(self._sides[1].run(self.test, 0))

    @property
    def results(self) -> tuple[list[list[Result]], list[list[Result]]]:
        """The results of each run that has a partner."""
        pairs = min(map(len, self.samples))
        base, head = ([sample.results for sample in samples[:pairs]] for samples in self.samples)
        return base, head


def _widths(samples: Sequence[Sample], choose: Callable[[Number, Number], Number]) -> dict[tuple[Key, str], Number]:
    """Return the uncertainty of each bounded metric: of several samples the one to be chosen."""
    found: dict[tuple[Key, str], Number] = {}
    for result in (result for sample in samples for result in sample.results):
        for name, measured in result.metrics.items():
            if measured.metric.trust is Trust.BOUNDED and not measured.metric.level:
                of = (result.key, name)
                found[of] = choose(found.get(of, measured.uncertainty), measured.uncertainty)
    return found


def _is_wide(pair: Sequence[Sample], least: Mapping[tuple[Key, str], Number]) -> bool:
    """Tell whether a sample is less certain by far than the best of them."""
    return any(width > max(WIDE * least[of], WIDE_BYTES) for of, width in _widths(pair, max).items())
