"""What a comparison of two runs says of one metric of one test."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from pytest_memperf.model.metric import Better, Metric
from pytest_memperf.model.result import Key
from pytest_memperf.model.units import Number


class Change(str, enum.Enum):
    """The verdict. Whatever is not known to be different or the same is said not to be known."""

    WORSE = "worse"
    BETTER = "better"
    CHANGED = "changed"
    """Different, in a metric without a better direction."""
    UNSURE = "unsure"
    """Too few samples to tell."""
    NOT_COMPARABLE = "not comparable"
    NEW = "new"
    GONE = "gone"
    SAME = "same"
    """No difference beyond the smallest one that would have been seen."""

    __hash__ = str.__hash__  # an enumeration's own is a call of Python, a million times in a large comparison


def direction(metric: Metric, head_is_more: bool) -> Change:
    """Return the verdict over a difference."""
    if metric.better is Better.NEITHER:
        return Change.CHANGED
    return Change.WORSE if head_is_more is (metric.better is Better.LOWER) else Change.BETTER


TOLD_APART = (Change.WORSE, Change.BETTER, Change.CHANGED, Change.SAME)
"""The verdicts over two values, regressions first; the others say why there are no two, or too few samples."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one side says of a metric: a value, and the interval in which its samples and their uncertainty lie."""

    value: Number
    low: Number
    high: Number


@dataclass(slots=True)  # not frozen, though nobody changes one: that takes five times as long, and there are many
class Comparison:
    """One metric of one test on both sides."""

    key: Key
    metric: Metric | None
    """None where it is about the whole result: new, gone, or not comparable."""
    change: Change
    reason: str = ""
    """The verdict in words, without what is this comparison's alone."""
    base: Side | None = None
    head: Side | None = None
    smallest: Number | None = None
    """The smallest difference of values that would have been called one, in the metric's unit."""
    failing: bool = False
    """Whether it is a regression beyond the limit that was set."""
    detail: str = ""
    """What belongs to the reason, of this comparison alone."""

    @property
    def words(self) -> str:
        """The reason with its detail."""
        return f"{self.reason} ({self.detail})" if self.detail else self.reason

    @property
    def difference(self) -> Number | None:
        """Head less base."""
        return None if self.base is None or self.head is None else self.head.value - self.base.value

    @property
    def ratio(self) -> float | None:
        """Head over base; None where base is 0."""
        if self.base is None or self.head is None or not self.base.value:
            return None
        return self.head.value / self.base.value

    @property
    def interval(self) -> tuple[Number, Number] | None:
        """The least and the largest difference that both sides' intervals allow."""
        if self.base is None or self.head is None:
            return None
        return self.head.low - self.base.high, self.head.high - self.base.low


@dataclass(frozen=True, slots=True)
class Several:
    """What is said of many results at once: a verdict that is not over two values, so that the same reason holds."""

    keys: list[Key]
    metrics: list[Metric]
    """None where it is about whole results."""
    change: Change
    reason: str = ""

    def __len__(self) -> int:
        """As many comparisons it stands for."""
        return len(self.keys) * max(len(self.metrics), 1)
