"""What the comparison of two runs came to as a whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from pytest_memperf.model.comparison import TOLD_APART, Change, Comparison, Several


@dataclass(slots=True)
class Outcome:
    """The comparisons of two runs, and how many of them came to each verdict."""

    base: str = ""
    """What was compared with, in words."""
    head: str = ""
    comparisons: list[Comparison] = field(default_factory=list)
    """In the order of the tests; those without a difference only where they were asked for."""
    several: list[Several] = field(default_factory=list)
    """More of them, many at once; none where all were asked for."""
    counts: Counter[Change] = field(default_factory=Counter)
    metrics: set[str] = field(default_factory=set)
    """The names of all metrics that either side has."""

    explanations: dict[str, list[str]] = field(default_factory=dict)
    """By test: where what became worse comes from, in words."""
    failed: dict[str, str] = field(default_factory=dict)
    """The tests that fail on head and the modules that cannot be imported there, and why."""
    interrupted: bool = False
    """Whether there would be more to tell, had it gone on."""
    notes: list[str] = field(default_factory=list)
    """What bears on all of it, in words."""
    host: str = ""
    """The machine that it was measured on, where that is not this one."""
    folder: str = ""
    """Where in the checkout the paths of the tests begin."""

    def add(self, comparison: Comparison, keep_same: bool = True) -> None:
        """Count a comparison, and keep it unless it is one without a difference that nobody wants to see."""
        self.counts[comparison.change] += 1
        if comparison.metric is not None:
            self.metrics.add(comparison.metric.name)
        if comparison.change is not Change.SAME or keep_same:
            self.comparisons.append(comparison)

    def add_several(self, several: Several) -> None:
        """Count and keep many comparisons, which are not over two values."""
        self.counts[several.change] += len(several)
        self.metrics.update(metric.name for metric in several.metrics)
        self.several.append(several)

    def different(self) -> Outcome:
        """Return this without the comparisons that found no difference; they stay counted."""
        return replace(self, comparisons=[each for each in self.comparisons if each.change is not Change.SAME])

    @property
    def failing(self) -> list[Comparison]:
        """The regressions."""
        return [comparison for comparison in self.comparisons if comparison.failing]

    @property
    def judged(self) -> int:
        """How many metrics could be judged: not those that are new, gone, unsure or not comparable."""
        return sum(self.counts[change] for change in TOLD_APART)

    @property
    def undecided(self) -> int:
        """How many could not, though both sides have them; a metric that a test of head has lost is among them."""
        lost = sum(each.change is Change.GONE and each.metric is not None for each in self.comparisons)
        lost += sum(len(each) for each in self.several if each.change is Change.GONE and each.metrics)
        return self.counts[Change.UNSURE] + self.counts[Change.NOT_COMPARABLE] + lost
