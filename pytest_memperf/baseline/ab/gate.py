"""The gate: both sides in turns, each test in as many layouts of memory, and as often, as its verdict needs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_memperf.baseline.ab import noisy
from pytest_memperf.baseline.ab.blame import reasons
from pytest_memperf.baseline.ab.sampling import LAYOUTS, Sampling
from pytest_memperf.baseline.ab.side import Sample, Side
from pytest_memperf.baseline.ab.times import Seconds, Times, usual_seconds
from pytest_memperf.baseline.comparing import compare
from pytest_memperf.model.comparison import TOLD_APART, Change, Comparison
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.joining import join_results
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.metric import Measured, Trust
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Run
from pytest_memperf.report.comparison import json
from pytest_memperf.report.result_lines import by_key

NOISY_METRICS = 2
"""Of a usual test, its times: so many looks at chance each adds to the run."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a run."""

    limits: Limits
    keep_same: bool = False
    """Keep what has no difference too."""
    max_time: float | None = None
    """Seconds that times may take until they tell something; None for ``usual_seconds``."""
    max_retakes: int = 3
    """How often a sample that the machine spoilt is taken anew."""


@dataclass(slots=True)
class Gate:
    """What became of the tests."""

    outcome: Outcome = field(default_factory=Outcome)
    failed: list[tuple[str, str]] = field(default_factory=list)
    """The tests that fail on head, and why."""
    tests: int = 0
    """Of head."""
    runs: int = 0
    retaken: int = 0
    """Samples that the machine spoilt, so that others were taken in their place."""
    left: int = 0
    """Tests that did not get their turn, or not enough of it: the run was interrupted."""
    mistake: str = ""
    """Why it could not come to its end, where a side is gone by then; the verdicts are those from before."""
    uncollected: dict[str, dict[str, str]] = field(default_factory=dict)
    """By side: the modules that it could not import, and why."""

    def as_json(self) -> dict[str, Any]:
        """Return this as plain data."""
        names = ("failed", "tests", "runs", "retaken", "left", "mistake", "uncollected")
        known = {name: getattr(self, name) for name in names}
        return {"outcome": json.as_json(self.outcome), "metrics": sorted(self.outcome.metrics), **known}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Gate:
        """Return what ``as_json`` wrote."""
        failed, outcome = [(test, reason) for test, reason in data["failed"]], json.from_json(data["outcome"])
        outcome.metrics.update(data["metrics"])
        others = {name: value for name, value in data.items() if name != "metrics"}
        return cls(**{**others, "outcome": outcome, "failed": failed})


@dataclass(slots=True)
class _Findings:
    """What the tests came to, until they are compared all together."""

    base: list[Result] = field(default_factory=list)
    head: list[Result] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    unable: dict[str, str] = field(default_factory=dict)
    """By test: why base cannot run it."""
    doubts: dict[str, str] = field(default_factory=dict)
    """By test: why its samples tell nothing: what the machine did to them, or that base failed in some."""
    names: set[str] = field(default_factory=set)
    """Of all metrics that there are, told or not."""

    def add(self, sampling: Sampling) -> None:
        """Take the counts and bytes of a test."""
        test, (base, head) = sampling.test, sampling.samples
        if sampling.spoilt:
            self.doubts[test] = f"the machine spoilt its samples: {', '.join(dict.fromkeys(sampling.spoilt))}"
        self.names.update(name for sample in (*base, *head) for result in sample.results for name in result.metrics)
        failed = next((sample for sample in head if sample.failed), None)
        if failed is not None:
            self.failed.append((test, failed.failed or ""))
            if not failed.over_budget:
                return
        if any(each.skipped for each in head):
            return
        why = next(filter(None, (each.failure or each.skipped for each in base)), None)
        good = [each for each in base if not (each.failure or each.skipped)]
        if why and good:
            self.doubts[test] = f"base failed in {len(base) - len(good)} of {len(base)} runs: {why}"
        elif why:
            self.unable[test] = why
        self.base += _joined(good)
        self.head += _joined(head)

    def outcome(self, request: Request, times: Sequence[noisy.Pairs], looks: int) -> Outcome:
        """Return the verdicts over all of it, and over the times."""
        outcome = Outcome()
        for comparison in _compared(self.base, self.head, request.limits, keep_same=True).comparisons:
            outcome.add(self._told(comparison), request.keep_same)
        for comparison in noisy.comparisons(times, looks):
            outcome.add(request.limits.judged(comparison), request.keep_same)
        outcome.metrics |= self.names
        return outcome

    def _told(self, comparison: Comparison) -> Comparison:
        """Return the comparison with what is known besides: why base has nothing, or that its samples are no good."""
        test = comparison.key.test
        if comparison.change is Change.NEW and test in self.unable:
            return replace(comparison, reason=f"base cannot run it: {self.unable[test]}")
        if comparison.change in TOLD_APART and test in self.doubts:
            return replace(comparison, change=Change.UNSURE, reason=self.doubts[test], failing=False)
        return comparison


def run(base: Side, head: Side, request: Request, tell: Callable[[str], None]) -> Gate:
    """Run every test of head on both sides, and tell them apart: by counts and bytes, then by the times that strike.

    Args:
        tell: takes the name of each test when it begins, ``times: NAME`` when its times are looked at more closely, and
            ``why: NAME`` when its reasons are looked for.
    """
    there, looks = set(base.tests), NOISY_METRICS * len(head.tests)
    gate, findings, times = Gate(tests=len(head.tests), left=len(head.tests)), _Findings(), Times(looks)
    began = time.monotonic()
    try:
        for test in head.tests:
            tell(test)
            sampling = Sampling(base, head, test, request.max_retakes)
            if test in there:
                _count(sampling)
                times.add(sampling)
            else:
                sampling.run_head()
                if why := base.uncollected.get(test.partition("::")[0]):
                    findings.unable[test] = why
            findings.add(sampling)
            gate.left -= 1
        most = request.max_time
        seconds = usual_seconds(time.monotonic() - began) if most is None else Seconds(most, most, most, most)
        try:
            times.decide(seconds, tell)
        except UsageMistake as mistake:  # a side is gone: the counts are known all the same
            gate.mistake = str(mistake)
    except KeyboardInterrupt:
        gate.left += len(times.waiting)
    gate.runs, gate.retaken = base.runs + head.runs, base.retaken + head.retaken
    gate.failed = [*findings.failed, *_failures(times.broken)]
    gate.outcome = findings.outcome(request, [*times.found()], max(looks, times.looks))
    gate.outcome.interrupted, gate.outcome.notes = bool(gate.left), [*_notes(gate, times.broken)]
    if not gate.left and not gate.mistake:
        with suppress(KeyboardInterrupt, UsageMistake):  # the verdicts are there, whatever becomes of the reasons
            for test, lines in _explanations(gate.outcome, base, head, tell):
                gate.outcome.explanations[test] = lines
    return gate


def _notes(gate: Gate, broken: Sequence[Sampling]) -> Iterator[str]:
    """Yield what bears on all of it.

    Args:
        broken: the tests that ran to their end at first, and not when their times were looked at.
    """
    if gate.left:
        yield f"interrupted, with {gate.left} of {gate.tests} tests left"
    if gate.retaken:
        yield f"{gate.retaken} of {gate.runs} runs were taken anew: the machine spoilt them, or moved the test"
    for sampling in broken:
        base, head = (samples[-1] for samples in sampling.samples)
        if not head.failure:
            yield f"{sampling.test}: no times are told, {base.failure or base.skipped or head.skipped}"


def _explanations(
    outcome: Outcome, base: Side, head: Side, tell: Callable[[str], None]
) -> Iterator[tuple[str, list[str]]]:
    """Yield where what became worse comes from, by test: one more run of each side tells, followed line by line."""
    worse: defaultdict[str, list[str]] = defaultdict(list)
    for each in outcome.comparisons:
        if each.change is Change.WORSE and each.metric is not None and each.metric.trust is not Trust.NOISY:
            worse[each.key.test].append(each.metric.name)
    for test, metrics in worse.items():
        tell(f"why: {test}")
        ours, theirs = base.attribute(test), head.attribute(test)
        if ours is not None and theirs is not None and (lines := reasons(ours, theirs, metrics)):
            yield test, lines


def _count(sampling: Sampling) -> None:
    """Run the test until its counts and bytes are told apart."""
    if not sampling.go_on(LAYOUTS[0], sharp=True) or all(agree(*pair) for pair in zip(*sampling.samples, strict=True)):
        return
    for number in LAYOUTS[1:]:
        if not sampling.go_on(number, sharp=True) or not _differ(sampling):
            return


def _failures(samplings: Sequence[Sampling]) -> Iterator[tuple[str, str]]:
    """Yield the tests that failed on head, and why."""
    for sampling in samplings:
        why = sampling.samples[1][-1].failure
        if why:
            yield sampling.test, why


def _differ(sampling: Sampling) -> bool:
    """Tell whether counts or bytes look different, so that more layouts are to confirm it."""
    base, head = sampling.samples
    outcome = _compared(_joined(base), _joined(head))
    return any(outcome.counts[change] for change in TOLD_APART if change is not Change.SAME)


def _compared(
    base: list[Result], head: Sequence[Result], limits: Limits | None = None, keep_same: bool = False
) -> Outcome:
    """Compare the results whatever the environments: what differs between the sides is what is looked for.

    Times are judged otherwise, where both sides have them.
    """
    ours, theirs = by_key(base), by_key(head)
    before = Run("", results=[_exact_part(result, theirs.get(result.key)) for result in base])
    after = [_exact_part(result, ours.get(result.key)) for result in head]
    return compare([before], after, Environment(), limits, keep_same)


def agree(base: Sample, head: Sample) -> bool:
    """Tell whether all counts and bytes of a pair, in one layout, are the same: as far as their uncertainty goes."""
    ours, theirs = ({each.key: _exact_part(each).metrics for each in sample.results} for sample in (base, head))
    return ours.keys() == theirs.keys() and all(
        metrics.keys() == theirs[key].keys()
        and all(_is_alike(measured, theirs[key][name]) for name, measured in metrics.items())
        for key, metrics in ours.items()
    )


def _is_alike(ours: Measured, theirs: Measured) -> bool:
    if ours.metric.trust is Trust.EXACT:
        return ours.samples == theirs.samples
    return abs(ours.value - theirs.value) <= ours.uncertainty + theirs.uncertainty


def _joined(samples: Sequence[Sample]) -> list[Result]:
    """Return the results of all layouts as one for each window."""
    results = [sample.results for sample in samples if sample.results]
    return join_results(results) if len(results) > 1 else results[0] if results else []


def _exact_part(result: Result, other: Result | None = None) -> Result:
    """Return the result without times, and without what is about the whole process.

    Args:
        other: that of the other side; a time that this one has not got is new, or gone, and stays.
    """
    both = result.metrics if other is None else other.metrics
    return replace(
        result,
        metrics={
            name: measured
            for name, measured in result.metrics.items()
            if not measured.metric.level and (measured.metric.trust is not Trust.NOISY or name not in both)
        },
    )
