"""What a regression is: limits as users write them, ``peak_rss:5%``."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from pytest_memperf.model.comparison import Change, Comparison
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import RECORDED, Metric
from pytest_memperf.model.units import Number, Unit, parse_share
from pytest_memperf.model.values import number_or_text

NONE = "none"
"""The word for: no metric fails, whatever became of it."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How much worse a metric may be: a share of the base's value, or an amount; text until the unit is known."""

    metric: str
    text: str | None = None
    recorded: bool = False
    """Whether it was written ``record:METRIC``: of a figure that tests record."""

    def __str__(self) -> str:
        """Return the limit as it was written."""
        return f"{RECORDED if self.recorded else ''}{self.metric}{f':{self.text}' if self.text else ''}"

    @classmethod
    def parse(cls, written: str) -> Limit:
        """Read ``METRIC:LIMIT``, or ``METRIC`` for whatever is worse beyond doubt. UsageMistake otherwise."""
        name, colon, limit = (part.strip() for part in written.strip().removeprefix(RECORDED).partition(":"))
        if not name or (colon and not limit):
            raise UsageMistake(f"{written!r} is no limit: write METRIC:LIMIT, such as peak_rss:5% or minor_faults:0")
        return cls(name, limit or None, written.strip().startswith(RECORDED))

    def exceeded(self, comparison: Comparison) -> bool:
        """Tell whether what became worse is so by more than the limit. UsageMistake for a limit of another unit."""
        difference, metric = comparison.difference, comparison.metric
        if difference is None or comparison.base is None or metric is None:
            return True
        allowed = self.allowed(metric.unit, comparison.base.value)
        return allowed is None or abs(difference) > allowed

    def allowed(self, unit: Unit, value: Number) -> Number | None:
        """Return how much worse than this value is still right; None for not at all, where that is beyond doubt.

        UsageMistake for a limit of another unit.
        """
        if self.text is None:
            return None
        try:
            if self.text.endswith("%"):
                return parse_share(self.text) * abs(value)
            return unit.parse(number_or_text(self.text))
        except UsageMistake as mistake:
            raise UsageMistake(f"{self}: {mistake}, or a share such as '5%'") from None


@dataclass(frozen=True, slots=True)
class Limits:
    """Those of a comparison. Without any, every metric fails that became worse beyond doubt."""

    of: Mapping[str, Limit] | None = None

    @classmethod
    def parse(cls, written: Iterable[str]) -> Limits:
        """Read what was given, in any number; ``none`` alone lets nothing fail."""
        words = [word for word in written if word]
        if not words:
            return cls()
        if words == [NONE]:
            return cls({})
        if NONE in words:
            raise UsageMistake(f"{NONE!r} leaves no limit: give it alone, or leave it out")
        limits = {limit.metric: limit for limit in map(Limit.parse, words)}
        for limit in limits.values():
            if (limit.text or "").startswith("-"):
                raise UsageMistake(f"{limit.metric}:{limit.text} is negative: a limit is 0 or more")
        return cls(limits)

    def judged(self, comparison: Comparison) -> Comparison:
        """Return the comparison as a failing one, where it is.

        UsageMistake for a limit of another unit, whatever became of the metric: not only on the day it gets worse.
        """
        if comparison.metric is None:
            return comparison
        if self.of is None:
            fails = True
        else:
            limit = self.of.get(comparison.metric.name)
            fails = limit is not None and limit.exceeded(comparison)
        return replace(comparison, failing=True) if fails and comparison.change is Change.WORSE else comparison

    def check_units(self, metrics: Iterable[Metric]) -> None:
        """Refuse a limit in another unit than its metric's, of those that are known before anything runs."""
        units = {metric.name: metric.unit for metric in metrics}
        for limit in (self.of or {}).values():
            if not limit.recorded and limit.metric in units:
                limit.allowed(units[limit.metric], 0)

    def unknown(self, names: Container[str]) -> list[str]:
        """Return the metrics with a limit that are not among these."""
        return [name for name in self.of or () if name not in names]
