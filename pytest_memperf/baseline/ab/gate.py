"""The gate: both sides in turns, each test in as many layouts of memory as its verdict needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from pytest_memperf.baseline.ab.side import Sample, Side
from pytest_memperf.baseline.comparing import compare
from pytest_memperf.baseline.limits import Limits
from pytest_memperf.model.comparison import TOLD_APART, Change
from pytest_memperf.model.joining import join_results
from pytest_memperf.model.metric import Trust
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Run

LAYOUTS = (3, 8, 12)
"""Of each side: enough where both agree exactly, where they are the same by their spread, and for a difference.

Eight a side lie apart by chance once in 6,435, which is too often for hundreds of tests; twelve once in 1,352,078.
"""


@dataclass(slots=True)
class Gate:
    """What became of the tests."""

    outcome: Outcome
    failed: list[tuple[str, str]] = field(default_factory=list)
    """The tests that fail on head, and why; a side that is older may not be able to run them."""
    runs: int = 0
    left: int = 0
    """Tests that did not get their turn: the run was interrupted."""


def run(base: Side, head: Side, limits: Limits, tell: Callable[[str], None], keep_same: bool = False) -> Gate:
    """Run every test of head on both sides, and tell them apart.

    Args:
        tell: takes the name of each test when it begins.
    """
    there = set(base.tests)
    taken: tuple[list[Result], list[Result]] = ([], [])
    unable: dict[str, str] = {}
    gate = Gate(Outcome())
    for number, test in enumerate(head.tests):
        tell(test)
        try:
            sampled = _sample(base, head, test) if test in there else ([], [head.run(test, 0)])
        except KeyboardInterrupt:
            gate.left = len(head.tests) - number
            break
        gate.runs += sum(len(samples) for samples in sampled)
        failed = next((sample.failed for sample in sampled[1] if sample.failed), None)
        if failed:
            gate.failed.append((test, failed))
            continue
        why = next((sample.failed for sample in sampled[0] if sample.failed and not sample.over_budget), None)
        if why:
            unable[test] = why
            sampled = ([], sampled[1])
        for results, samples in zip(taken, sampled, strict=True):
            results.extend(_joined(samples))
    outcome = compare([Run("", results=taken[0])], taken[1], Run("").environment, limits, keep_same)
    outcome.comparisons = [
        replace(each, reason=f"base cannot run it: {unable[each.key.test]}")
        if each.change is Change.NEW and each.key.test in unable
        else each
        for each in outcome.comparisons
    ]
    gate.outcome = outcome
    return gate


def _sample(base: Side, head: Side, test: str) -> tuple[list[Sample], list[Sample]]:
    """Run the test on both sides, in turns, until the samples tell what there is to tell."""
    samples: tuple[list[Sample], list[Sample]] = ([], [])
    for number in LAYOUTS:
        for layout in range(len(samples[0]), number):
            for side in (0, 1) if layout % 2 == 0 else (1, 0):  # A B B A
                samples[side].append((base, head)[side].run(test, layout))
            if any((each[-1].failed and not each[-1].over_budget) or each[-1].skipped for each in samples):
                return samples
        if _enough(*samples):
            break
    return samples


def _enough(base: Sequence[Sample], head: Sequence[Sample]) -> bool:
    """Tell whether more layouts would tell no more."""
    ours, theirs = _joined(base), _joined(head)
    if len(base) == LAYOUTS[0]:
        return [*_exact(ours)] == [*_exact(theirs)]
    outcome = compare([Run("", results=ours)], theirs, Run("").environment)
    return not any(outcome.counts[change] for change in TOLD_APART if change is not Change.SAME)


def _exact(results: Sequence[Result]) -> Iterator[object]:
    """Yield all that is to agree: the samples of each metric, but for those that are noisy."""
    for result in results:
        yield result.key
        for name, measured in result.metrics.items():
            yield (name, measured.samples, measured.uncertainty)


def _joined(samples: Sequence[Sample]) -> list[Result]:
    """Return the results of all layouts as one for each window, without what an A/B run cannot tell."""
    results = [sample.results for sample in samples if sample.results]
    joined = join_results(results) if results else []
    for result in joined:
        result.metrics = {
            name: measured
            for name, measured in result.metrics.items()
            if measured.metric.trust is not Trust.NOISY and not measured.metric.level
        }
    return joined
