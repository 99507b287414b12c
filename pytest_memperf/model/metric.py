"""A metric as one self-describing row, and one reading of it."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from pytest_memperf.model.units import Number, Unit, is_whole

RECORDED = "record:"
"""Before the name of a figure that tests record, in options: no such name can be checked before they ran."""


class Trust(str, enum.Enum):
    """How far one reading can be trusted; it decides how the metric gates."""

    EXACT = "exact"
    BOUNDED = "bounded"
    NOISY = "noisy"


class Better(str, enum.Enum):
    """The direction in which a change is an improvement."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


class Cost(str, enum.Enum):
    """Whether the metric is taken in every window, or only where a budget, ``metrics=`` or an option asks for it."""

    ALWAYS = "always"
    ON_REQUEST = "on request"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the registry: tables, budgets, JSON, help and docs are all made from it."""

    name: str
    unit: Unit
    better: Better
    trust: Trust
    cost: Cost
    help: str
    source: str
    needs_bytes: bool = False
    """Cannot be computed before the test declares ``bytes=``."""
    headline: bool = False
    """Has a column in the table of results where no columns are chosen."""
    floor: Number = 0
    """What unrelated edits of the code may change, in the metric's unit: a comparison takes less for no change."""
    level: bool = False
    """Of the whole process: all that is loaded moves it, so that only a band of several runs tells a change."""


class Reading(NamedTuple):
    """One sample: the true value lies in ``value`` plus or minus ``uncertainty``, both in the metric's unit."""

    value: Number
    uncertainty: Number = 0


class Measured(NamedTuple):
    """A metric's samples of one window, one for each round and layout, and what they amount to."""

    metric: Metric
    samples: tuple[Number, ...]
    uncertainty: Number = 0

    @property
    def value(self) -> Number:
        """The median of the samples."""
        return self.samples[0] if len(self.samples) == 1 else median(self.samples)

    @property
    def interval(self) -> tuple[Number, Number]:
        """The ends of the interval of all samples, and of the uncertainty round their median."""
        value = self.value
        return min(value - self.uncertainty, *self.samples), max(value + self.uncertainty, *self.samples)

    @classmethod
    def from_readings(cls, metric: Metric, readings: Sequence[Reading]) -> Measured:
        """Join the readings of several rounds or runs; the uncertainty is the largest of theirs and half the spread."""
        if len(readings) == 1:
            return cls(metric, (readings[0].value,), readings[0].uncertainty)
        samples = tuple(reading.value for reading in readings)
        spread: Number = (max(samples) - min(samples)) / 2
        if is_whole(spread):
            spread = int(spread)
        return cls(metric, samples, max(spread, *(reading.uncertainty for reading in readings)))
