"""A budget: a limit on a metric, and the verdict over a measured value."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, NamedTuple

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import Measured, Metric
from pytest_memperf.model.units import SHARE, Number


class Bound(str, enum.Enum):
    """Which side of the limit is allowed."""

    MAX = "max"
    MIN = "min"


class Status(str, enum.Enum):
    """What became of a budget; ``unchecked`` is never taken for passed."""

    PASSED = "passed"
    FAILED = "failed"
    UNCHECKED = "unchecked"


class Verdict(str, enum.Enum):
    """What a reader is told of a budget: its status, but ``warned`` where a soft one failed."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit in the metric's unit."""

    metric: Metric
    bound: Bound
    limit: Number
    soft: bool = False
    """Whether it warns where others fail the test."""

    @property
    def keyword(self) -> str:
        """The marker argument that says it, such as ``max_peak_rss``."""
        return f"{self.bound.value}_{self.metric.name}"

    @classmethod
    def parse(cls, metric: Metric, bound: Bound, value: Any, soft: bool = False) -> Budget:
        """Read the limit as the user wrote it; UsageMistake for what is no value of the unit or is negative."""
        try:
            limit = metric.unit.parse(value)
        except UsageMistake as mistake:
            raise UsageMistake(f"{bound.value}_{metric.name}: {mistake}") from None
        if limit < 0:
            raise UsageMistake(f"{bound.value}_{metric.name}={value!r} is negative: a limit is 0 or more")
        if metric.unit is SHARE and limit > 1 and not isinstance(value, str):
            keyword, percent = f"{bound.value}_{metric.name}", limit * 100
            raise UsageMistake(
                f"{keyword}={value!r} is {percent:,g} %: write '{limit:g}%', or '{percent:g}%' if so meant"
            )
        return cls(metric, bound, limit, soft)

    def check(self, measured: Measured | None, reason: str = "") -> Check:
        """Judge a value: failed only where the limit lies beyond the uncertainty, so that no verdict is luck."""
        if measured is None:
            return Check(self, Status.UNCHECKED, reason=reason)
        value, uncertainty = measured.value, measured.uncertainty
        if self.bound is Bound.MAX:
            failed = value - uncertainty > self.limit
        else:
            failed = value + uncertainty < self.limit
        return Check(self, Status.FAILED if failed else Status.PASSED, measured)


_VERDICTS = {status: Verdict(status.value) for status in Status}


class Check(NamedTuple):
    """A budget and its verdict."""

    budget: Budget
    status: Status
    measured: Measured | None = None
    reason: str = ""

    @property
    def verdict(self) -> Verdict:
        """The status, as a reader is told it."""
        if self.budget.soft and self.status is Status.FAILED:
            return Verdict.WARNED
        return _VERDICTS[self.status]

    @property
    def ratio(self) -> float | None:
        """The measured value over the limit; None where there is no value or the limit is 0."""
        if self.measured is None or self.budget.limit == 0:
            return None
        return self.measured.value / self.budget.limit

    @property
    def sentence(self) -> str:
        """The verdict in one line for the user."""
        unit, keyword = self.budget.metric.unit, self.budget.keyword
        if self.measured is None:
            return f"{keyword} = {unit.exactly(self.budget.limit)} was not checked: {self.reason}"
        value, limit = unit.side_by_side(self.measured.value, self.budget.limit)
        sign = {Status.PASSED: "within", Status.FAILED: "over" if self.budget.bound is Bound.MAX else "under"}
        # Last, because pytest cuts its summary to the terminal, and the limit says more.
        uncertainty = f" (± {unit.format(self.measured.uncertainty)})" if self.measured.uncertainty else ""
        return f"{self.budget.metric.name} {value} is {sign[self.status]} {keyword} = {limit}{uncertainty}"
