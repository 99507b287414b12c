"""Two runs compared: which results belong together, and the verdict over each of their metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, filterfalse

from pytest_memperf.baseline.alike import alike
from pytest_memperf.baseline.compatibility import differences
from pytest_memperf.baseline.judging import judge
from pytest_memperf.baseline.renaming import hints_of_renames
from pytest_memperf.model.comparison import TOLD_APART, Change, Comparison
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.metric import Measured, Metric
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import Key, Result
from pytest_memperf.model.run import Run
from pytest_memperf.report.result_lines import by_key


class Base:
    """What is compared with: the runs of a baseline, the one that counts first; the others make its band.

    Args:
        environment: of head; what was measured in another one is not compared.
    """

    def __init__(self, runs: Sequence[Run], environment: Environment) -> None:
        self._apart = [differences(run.environment, environment) for run in runs]
        self._results = [by_key(run.results) for run in runs]

    @property
    def first(self) -> Mapping[Key, Result]:
        """The results of the run that counts."""
        return self._results[0]

    def compare(self, head: Result) -> Iterator[Comparison]:
        """Yield the comparison of each metric of a result whose key the base has."""
        first = self._results[0][head.key]
        perturbed = first.perturbed or head.perturbed
        if perturbed:
            yield Comparison(head.key, None, Change.NOT_COMPARABLE, perturbed)
            return
        for name, measured in head.metrics.items():
            metric, before = measured.metric, first.metrics.get(name)
            if before is None:
                reason = first.unavailable.get(name, "the base did not measure it")
                yield Comparison(head.key, metric, Change.NEW, reason)
            elif before.metric.unit.name != metric.unit.name:
                reason = f"its unit was {before.metric.unit.name} and is {metric.unit.name}"
                yield Comparison(head.key, metric, Change.NOT_COMPARABLE, reason)
            elif reason := self._apart[0].reason(metric.trust):
                yield Comparison(head.key, metric, Change.NOT_COMPARABLE, reason)
            else:
                found = judge([before, *self._band(head.key, metric)], measured, first, head)
                yield Comparison(head.key, metric, found.change, found.reason, found.base, found.head, found.smallest)
        for name, measured in first.metrics.items():
            if name not in head.metrics:
                reason = head.unavailable.get(name, "it is not measured any more")
                yield Comparison(head.key, measured.metric, Change.GONE, reason)

    def _band(self, key: Key, metric: Metric) -> Iterator[Measured]:
        """Yield what the base's other runs measured, where it can be compared."""
        for results, apart in zip(self._results[1:], self._apart[1:], strict=True):
            result = results.get(key)
            measured = None if result is None or result.perturbed else result.metrics.get(metric.name)
            if (
                measured is not None
                and measured.metric.unit.name == metric.unit.name
                and not apart.reason(metric.trust)
            ):
                yield measured


def compare(
    runs: Sequence[Run],
    results: Iterable[Result],
    environment: Environment,
    limits: Limits | None = None,
    keep_same: bool = False,
) -> Outcome:
    """Return what became of every metric.

    Args:
        runs: of the base, the one that counts first.
        results: those of head, and the environment that they were measured in.
        keep_same: keep the comparisons without a difference too, for a reader who wants to see them.
    """
    base, limits, outcome = Base(runs, environment), limits or Limits(), Outcome()
    heads = by_key(results)
    before, after = base.first.keys(), heads.keys()
    # A band is of another size for each test, and who wants to see all values needs them one by one.
    groups = [] if keep_same or len(runs) > 1 else alike(base.first, heads, base.compare)
    different = {key: group for group in groups for key in group.different}
    same = set(chain.from_iterable(group.keys for group in groups)).difference(different)

    for key in filterfalse(same.__contains__, after):
        if key in different:
            for comparison in different[key].by_values(key):
                outcome.add(limits.judged(comparison))
        elif key in before:
            for comparison in base.compare(heads[key]):
                outcome.add(_shown(limits.judged(comparison), keep_same), keep_same)
    for group in groups:
        outcome.counts[Change.SAME] += group.same
        for several in group.others():
            outcome.add_several(several)
    gone, new = [*filterfalse(after.__contains__, before)], [*filterfalse(before.__contains__, after)]
    for comparison in _unpaired(gone, new):
        outcome.add(comparison, keep_same)
    return outcome


def _shown(comparison: Comparison, keep_same: bool) -> Comparison:
    """Return the comparison, without the values of what nothing can be said of where only differences are wanted."""
    if keep_same or comparison.change in TOLD_APART:
        return comparison
    return replace(comparison, base=None, head=None, smallest=None)


def _unpaired(gone: Sequence[Key], new: Sequence[Key]) -> Iterator[Comparison]:
    """Yield the results that one side alone has; those of another isolation or allocator are no different tests."""
    left: dict[tuple[str, str], list[Key]] = {}
    for key in gone:
        left.setdefault((key.test, key.window), []).append(key)
    partners = {key: before.pop(0) for key in new if (before := left.get((key.test, key.window)))}
    still_gone = [key for keys in left.values() for key in keys]
    still_new = [key for key in new if key not in partners]
    hints = hints_of_renames(still_gone, still_new)
    for key in new:
        if key in partners:
            yield Comparison(key, None, Change.NOT_COMPARABLE, _apart(partners[key], key))
        else:
            yield Comparison(key, None, Change.NEW, hints.get((key.test, key.window), ""))
    for key in still_gone:
        yield Comparison(key, None, Change.GONE, hints.get((key.test, key.window), ""))


def _apart(base: Key, head: Key) -> str:
    names = (("isolation", base.isolation, head.isolation), ("allocator", base.allocator, head.allocator))
    return ", ".join(f"{name} {was} and {now}" for name, was, now in names if was != now)
