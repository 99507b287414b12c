"""The gate: both sides in turns, each test in as many layouts of memory, and as often, as its verdict needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pytest_memperf.baseline.ab import noisy
from pytest_memperf.baseline.ab.blame import reasons
from pytest_memperf.baseline.ab.side import Sample, Side
from pytest_memperf.baseline.comparing import compare
from pytest_memperf.model.comparison import TOLD_APART, Change
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.joining import join_results
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.metric import Trust
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Run

LAYOUTS = (3, 8, 12)
"""Of each side: enough where both agree exactly, where they are the same by their spread, and for a difference.

Eight a side lie apart by chance once in 6,435, which is too often for hundreds of tests; twelve once in 1,352,078.
"""
NOISY_METRICS = 2
"""Of a usual test, its times: so many looks at chance each adds to the run."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a run."""

    limits: Limits
    keep_same: bool = False
    """Keep what has no difference too."""
    max_time: float = 20.0
    """Seconds that a test's times may take until they tell something."""


@dataclass(slots=True)
class Gate:
    """What became of the tests."""

    outcome: Outcome = field(default_factory=Outcome)
    failed: list[tuple[str, str]] = field(default_factory=list)
    """The tests that fail on head, and why."""
    runs: int = 0
    left: int = 0
    """Tests that did not get their turn: the run was interrupted."""


class _Sampling:
    """One test on both sides, in turns: A B B A."""

    def __init__(self, base: Side, head: Side, test: str) -> None:
        self._sides = base, head
        self._test = test
        self.samples: tuple[list[Sample], list[Sample]] = ([], [])

    @property
    def pairs(self) -> int:
        """How many runs each side has."""
        return len(self.samples[1])

    @property
    def broken(self) -> bool:
        """Whether the test could not run to its end on one of them, so that more would tell no more."""
        return any((each[-1].failed and not each[-1].over_budget) or each[-1].skipped for each in self.samples)

    def go_on(self, pairs: int) -> bool:
        """Run it until there are so many; return whether it ran to its end."""
        while self.pairs < pairs:
            for side in (0, 1) if self.pairs % 2 == 0 else (1, 0):
                layout = len(self.samples[side]) % LAYOUTS[-1]
                self.samples[side].append(self._sides[side].run(self._test, layout))
            if self.broken:
                return False
        return True

    @property
    def results(self) -> tuple[list[list[Result]], list[list[Result]]]:
        """The results of each run."""
        base, head = ([sample.results for sample in samples] for samples in self.samples)
        return base, head


@dataclass(slots=True)
class _Findings:
    """What the tests came to, until they are compared all together."""

    base: list[Result] = field(default_factory=list)
    head: list[Result] = field(default_factory=list)
    times: list[noisy.Pairs] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    unable: dict[str, str] = field(default_factory=dict)
    """By test: why base cannot run it."""

    def add(self, test: str, sampling: _Sampling) -> None:
        """Take the samples of a test."""
        base, head = sampling.samples
        failed = next((sample for sample in head if sample.failed), None)
        if failed is not None:
            self.failed.append((test, failed.failed or ""))
            if not failed.over_budget:
                return
        why = next((each.failed for each in base if each.failed and not each.over_budget), None)
        if why:
            self.unable[test] = why
        else:
            self.base += _joined(base[: LAYOUTS[-1]])
        self.head += _joined(head[: LAYOUTS[-1]])

    def outcome(self, request: Request, looks: int) -> Outcome:
        """Return the verdicts over all of it."""
        found = _compared(self.base, self.head, request.limits, request.keep_same)
        for comparison in noisy.comparisons(self.times, looks):
            found.add(request.limits.judged(comparison), request.keep_same)
        found.comparisons = [
            replace(each, reason=f"base cannot run it: {self.unable[each.key.test]}")
            if each.change is Change.NEW and each.key.test in self.unable
            else each
            for each in found.comparisons
        ]
        return found


def run(base: Side, head: Side, request: Request, tell: Callable[[str], None]) -> Gate:
    """Run every test of head on both sides, and tell them apart.

    Args:
        tell: takes the name of each test when it begins, and ``why: NAME`` when its reasons are looked for.
    """
    there = set(base.tests)
    looks = NOISY_METRICS * len(head.tests)
    gate, findings = Gate(), _Findings()
    for number, test in enumerate(head.tests):
        tell(test)
        sampling = _Sampling(base, head, test)
        try:
            if test in there:
                findings.times += _sample(sampling, looks, request.max_time)
            else:
                sampling.samples[1].append(head.run(test, 0))
        except KeyboardInterrupt:
            gate.left = len(head.tests) - number
            break
        gate.runs += sum(map(len, sampling.samples))
        findings.add(test, sampling)
    gate.failed = findings.failed
    gate.outcome = findings.outcome(request, looks)
    if not gate.left:
        with suppress(KeyboardInterrupt):  # the verdicts are there, whoever does not want to wait for the reasons
            for test, lines in _explanations(gate.outcome, base, head, tell):
                gate.outcome.explanations[test] = lines
    return gate


def _explanations(
    outcome: Outcome, base: Side, head: Side, tell: Callable[[str], None]
) -> Iterator[tuple[str, list[str]]]:
    """Yield where what became worse comes from, by test: one more run of each side tells, followed line by line."""
    failing = [each for each in outcome.failing if each.metric is not None and each.metric.trust is not Trust.NOISY]
    for test in dict.fromkeys(each.key.test for each in failing):
        tell(f"why: {test}")
        sides = [side.run(test, 0, attributed=True).attribution for side in (base, head)]
        if sides[0] is not None and sides[1] is not None and (lines := reasons(sides[0], sides[1])):
            yield test, lines


def _sample(sampling: _Sampling, looks: int, max_time: float) -> list[noisy.Pairs]:
    """Run the test until its counts and bytes are told apart, then until its times are; return what these came to."""
    if not sampling.go_on(LAYOUTS[0]):
        return []
    agree = [*_agreeing(sampling.samples[0])] == [*_agreeing(sampling.samples[1])]
    if not agree:
        for number in LAYOUTS[1:]:
            if not sampling.go_on(number):
                return []
            if not _differ(sampling):
                break
    judged = {
        (pairs.key, pairs.metric.name)
        for pairs in noisy.pairs_of(*sampling.results)
        if not agree or pairs.striking or noisy.is_asked(sampling.samples[1][0].results, pairs.metric.name)
    }
    deadline = time.monotonic() + max_time
    while True:
        found = [each for each in noisy.pairs_of(*sampling.results) if (each.key, each.metric.name) in judged]
        told = [each.found for each in found]
        if all(each.same or each.different(noisy.level(looks)) for each in told):
            return found
        if sampling.pairs >= noisy.MOST_PAIRS or time.monotonic() > deadline:
            return found
        if not sampling.go_on(sampling.pairs + 1):
            return []


def _differ(sampling: _Sampling) -> bool:
    """Tell whether counts or bytes look different, so that more layouts are to confirm it."""
    base, head = sampling.samples
    outcome = _compared(_joined(base), _joined(head))
    return any(outcome.counts[change] for change in TOLD_APART if change is not Change.SAME)


def _compared(
    base: list[Result], head: Sequence[Result], limits: Limits | None = None, keep_same: bool = False
) -> Outcome:
    """Compare the results whatever the environments: what differs between the sides is what is looked for."""
    return compare([Run("", results=base)], head, Environment(), limits, keep_same)


def _agreeing(samples: Sequence[Sample]) -> Iterator[object]:
    """Yield all that is to agree: the samples of each metric, but for those that are noisy."""
    for result in _joined(samples):
        yield result.key
        for name, measured in result.metrics.items():
            yield (name, measured.samples, measured.uncertainty)


def _joined(samples: Sequence[Sample]) -> list[Result]:
    """Return the results of all layouts as one for each window, without what is judged otherwise."""
    results = [sample.results for sample in samples if sample.results]
    return _exact_part(join_results(results) if len(results) > 1 else results[0] if results else [])


def _exact_part(results: Sequence[Result]) -> list[Result]:
    """Return the results without times, and without what is about the whole process."""
    return [
        replace(
            result,
            metrics={
                name: measured
                for name, measured in result.metrics.items()
                if measured.metric.trust is not Trust.NOISY and not measured.metric.level
            },
        )
        for result in results
    ]
