"""Times and rates of an A/B run: which metrics of a test are to be judged, and what their pairs come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, log, sqrt
from statistics import median, quantiles, stdev

from pytest_memperf.baseline.paired import LEAST_PAIRS, SMALLEST, Paired, discoveries, paired, pairs_needed
from pytest_memperf.metrics.interference import stolen_seconds
from pytest_memperf.metrics.run_delay import RUN_DELAY
from pytest_memperf.model.comparison import Change, Comparison, Side, direction
from pytest_memperf.model.metric import Metric, Trust
from pytest_memperf.model.result import Key, Result
from pytest_memperf.model.units import SECONDS
from pytest_memperf.report.plural import counted
from pytest_memperf.report.result_lines import by_key

FALSE_DISCOVERIES = 0.01
"""The share of alarms that may be false, over all tests of the run."""
LOOKS = 8
"""Pairs are added until they tell: looking again and again finds chance too, as if so many looked once."""
MOST_PAIRS = 144
WAITED = 0.02
"""The share of its time that a test may have waited for a processor; what others took says nothing of its speed."""
STOLEN = 0.02
"""Seconds that other machines have to have had the processor: one tick of its count is what many windows lost."""
_OWN_CLOCK = "cpu_time"
"""Stands still while the test waits for others on this machine."""
SHORTEST = 0.005
"""Seconds that a window takes at least whose times are judged: of a shorter one the clock tells more than the code."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """The samples of one noisy metric of one window, one by one."""

    key: Key
    metric: Metric
    base: tuple[float, ...]
    head: tuple[float, ...]
    waited: int = 0
    """Pairs in which others had the test's processor; where there are others enough, they are not among these."""

    @property
    def found(self) -> Paired:
        """What they tell."""
        return paired(self.base, self.head)

    @property
    def striking(self) -> bool:
        """Whether the pairs leave room for a change: their middle, and how uncertain it is yet."""
        return self._middle + self._error >= log(1 + SMALLEST)

    @property
    def evidence(self) -> float:
        """How many times its uncertainty the middle is away from equal sides."""
        return self._middle / self._error if self._error else inf

    @property
    def _logs(self) -> list[float]:
        return [log(theirs / ours) for ours, theirs in zip(self.base, self.head, strict=True)]

    @property
    def _middle(self) -> float:
        return abs(median(self._logs))

    @property
    def _error(self) -> float:
        return stdev(self._logs) / sqrt(len(self.base)) if len(self.base) > 1 else inf


def pairs_of(base: Sequence[Sequence[Result]], head: Sequence[Sequence[Result]]) -> Iterator[Pairs]:
    """Yield the noisy metrics that every run of both sides has.

    Args:
        base: the results of each run, in the order of the pairs.
    """
    ours, theirs = [by_key(run) for run in base], [by_key(run) for run in head]
    for key, first in theirs[0].items():
        if not all(key in run for run in (*ours, *theirs)):
            continue
        if max(median(_longest(run[key]) for run in runs) for runs in (ours, theirs)) < SHORTEST:
            continue
        results = [(one[key], other[key]) for one, other in zip(ours, theirs, strict=True)]
        given = [pair for pair in results if not any(map(_stolen, pair))]
        quiet = [pair for pair in given if not any(map(_waited, pair))]
        for name, measured in first.metrics.items():
            if measured.metric.trust is not Trust.NOISY or measured.metric.level:
                continue
            if all(name in result.metrics and result.metrics[name].value > 0 for pair in results for result in pair):
                good = given if name == _OWN_CLOCK else quiet
                chosen = good if len(good) >= min(LEAST_PAIRS, len(results) / 2) else results
                base_values, head_values = (
                    tuple(float(result.metrics[name].value) for result in side) for side in zip(*chosen, strict=True)
                )
                yield Pairs(key, measured.metric, base_values, head_values, len(results) - len(good))


def _waited(result: Result) -> bool:
    """Tell whether the test waited for a processor for a while that shows."""
    waited, wall = result.metrics.get(RUN_DELAY), result.metrics.get("wall_time")
    return waited is not None and wall is not None and waited.value > WAITED * wall.value


def _stolen(result: Result) -> bool:
    """Tell whether other machines had the processor for a while that shows: the test's own clock goes on meanwhile."""
    stolen = stolen_seconds(result.notes)
    return stolen >= STOLEN and stolen > WAITED * _longest(result)


def _longest(result: Result) -> float:
    """Return the largest of the times of a window, in seconds; 0 where it has none."""
    times = (each for each in result.metrics.values() if each.metric.unit is SECONDS and not each.metric.level)
    return max((float(each.value) for each in times), default=0.0)


def is_asked(results: Sequence[Result], name: str) -> bool:
    """Tell whether the test has a budget on the metric, or asks for it."""
    return any(
        name in result.requested or any(check.budget.metric.name == name for check in result.checks)
        for result in results
    )


def level(metrics: int) -> float:
    """Return how improbable a difference has to be where so many metrics are looked at."""
    return FALSE_DISCOVERIES / (LOOKS * max(metrics, 1))


def comparisons(every: Sequence[Pairs], metrics: int) -> Iterator[Comparison]:
    """Yield the verdicts over the metrics of all tests together.

    Args:
        metrics: how many were looked at, those included that did not strike.
    """
    found = [pairs.found for pairs in every]
    padding = [1.0] * max(metrics - len(found), 0)
    real = discoveries([LOOKS * each.probability for each in found] + padding, FALSE_DISCOVERIES)
    for pairs, each, is_real in zip(every, found, real, strict=False):
        different = is_real and each.different(1.0)
        interval, detail = _interval(each), ""
        if different:
            change, reason = direction(pairs.metric, each.ratio > 1), interval
        elif each.same:
            change, reason = Change.SAME, f"{interval}, less than {SMALLEST:.0%} is no change"
        else:
            change, reason = Change.UNSURE, _too_few(pairs, each, pairs_needed(level(metrics)))
            needed = each.needed(level(metrics))
            detail = f"{interval}, about {needed} would tell" if needed else interval
        base, head = _side(pairs.base), _side(pairs.head)
        yield Comparison(pairs.key, pairs.metric, change, reason, base, head, SMALLEST * base.value, detail=detail)


def _interval(found: Paired) -> str:
    """Return how much more head took, where there are pairs enough to say so, and how many there are."""
    pairs = counted(found.pairs, "pair")
    return f"{found.low - 1:+.1%} to {found.high - 1:+.1%} in {pairs}" if found.high < inf else pairs


def _too_few(pairs: Pairs, found: Paired, needed: int) -> str:
    """Return why the pairs tell nothing, and what would: the same words for all tests that lack the same."""
    why = ["the pairs tell neither a change nor that there is none"]
    if found.pairs < needed:
        why.append(f"it takes {needed} or more, which --max-time gives")
    elif found.pairs < MOST_PAIRS:
        why.append("--max-time gives more")
    if pairs.waited:
        why.append("the test waited for a processor that others had")
    return "; ".join(why)


def _side(values: Sequence[float]) -> Side:
    return Side(median(values), *quantiles(values, n=4)[::2])
