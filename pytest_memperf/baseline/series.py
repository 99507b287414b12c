"""One test over the saved runs: a value for each run, and whether it changed from the run before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_memperf.baseline.compatibility import Differences, differences
from pytest_memperf.baseline.judging import judge
from pytest_memperf.model.comparison import Change
from pytest_memperf.model.metric import Measured, Metric, Trust
from pytest_memperf.model.result import Key, Result
from pytest_memperf.model.run import Run


@dataclass(frozen=True, slots=True)
class Point:
    """A metric in one run."""

    number: int
    """Of the run in its store."""
    run: Run
    measured: Measured
    change: Change | None
    """The verdict against the run before; None for the first one, and where the two cannot be compared."""
    reason: str


@dataclass(frozen=True, slots=True)
class Series:
    """A metric of one window of one test over the runs, the oldest first."""

    key: Key
    metric: Metric
    points: list[Point]


def series(runs: Iterable[tuple[int, Run]], test: str) -> Iterator[Series]:
    """Yield a series for each metric of each window of the tests whose id this text is, or is a part of.

    Args:
        runs: with their numbers, the oldest first.
    """
    found: dict[tuple[Key, str], Series] = {}
    before: dict[Key, tuple[Run, Result]] = {}
    taken = [(number, run, [each for each in run.results if test in each.test]) for number, run in runs]
    exact = any(each.test == test for _, _, results in taken for each in results)
    for number, run, results in taken:
        for result in results:
            if (exact and result.test != test) or result.perturbed:
                continue
            former = before.get(result.key)
            apart = differences(former[0].environment, run.environment) if former else Differences()
            for name, measured in result.metrics.items():
                change, reason = _against(former[1] if former else None, result, name, apart)
                line = found.setdefault((result.key, name), Series(result.key, measured.metric, []))
                line.points.append(Point(number, run, measured, change, reason))
            before[result.key] = run, result
    yield from found.values()


def _against(before: Result | None, result: Result, name: str, apart: Differences) -> tuple[Change | None, str]:
    """Return the verdict of a metric against the run before; times and the like take more than one run to tell."""
    if before is None or name not in before.metrics:
        return None, ""
    measured, former = result.metrics[name], before.metrics[name]
    reason = apart.reason(measured.metric.trust)
    if reason or measured.metric.trust is Trust.NOISY or former.metric.unit.name != measured.metric.unit.name:
        return None, reason
    found = judge([former], measured, before, result)
    return (None, found.reason) if found.change is Change.UNSURE else (found.change, found.reason)
