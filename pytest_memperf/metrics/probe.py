"""What a source of metrics looks like to the windows that use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from cyx.probes import Interval
from pytest_memperf.model.metric import Metric, Reading
from pytest_memperf.model.units import Number

FLOOR_PAGES = 4
"""Pages, or faults, that an unrelated edit of a module may change even where many layouts of memory were sampled."""


class Observation(NamedTuple):
    """What a probe may read its values from, once a round is over."""

    interval: Interval
    bytes: int | None = None
    """The bytes that one round moves, as the test declared them."""
    include_children: bool = False
    wall_time: Reading | str = "no time was taken"
    """Seconds of one round: the interval's, or those of a benchmark that timed the same call; or why there are none."""


class Probe:
    """One source and its metrics; ``start`` and ``stop`` lie outside the exact counters.

    An object serves one round; or every round, where there is nothing to start and to stop.

    Subclasses name their rows in ``metrics`` and return a reading, or the reason why there is none, for each.
    """

    metrics: ClassVar[tuple[Metric, ...]] = ()
    accompanies: ClassVar[bool] = False
    """Whether it is taken along wherever a metric is that is not always taken."""

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the metrics that this machine cannot give, each with the reason and its mend."""
        return {}

    @classmethod
    def acts(cls) -> bool:
        """Tell whether there is something to do at the start or the stop: most only read the interval afterwards."""
        return (cls.start, cls.stop) != (Probe.start, Probe.stop)

    @classmethod
    def reads(cls, name: str) -> bool:
        """Tell whether a metric is one of this probe's."""
        return any(metric.name == name for metric in cls.metrics)

    def prepare(self, interval: Interval, requested: Sequence[str]) -> None:
        """Set the interval up before it starts; ``requested`` names the metrics that a budget or a user asks for."""

    def start(self) -> None:
        """Take the readings at the start; the interval starts right after."""

    def stop(self) -> None:
        """Take the readings at the end; the interval has just stopped."""

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return a reading, or a reason in words, for each metric of this probe.

        It is asked after the test, when somebody wants to know, and perhaps more than once: it rests on the observation
        and on what ``stop`` has kept.
        """
        raise NotImplementedError

    @classmethod
    def disturbance(cls, name: str, events: Mapping[str, int]) -> Number:
        """Return how far these events of the machine may have moved a metric of this probe (see interference)."""
        return 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What spoilt or coloured this round, in words, as far as it is known after ``stop``."""
        return ()


def failure(probe: type[Probe], act: str, error: Exception) -> dict[str, str]:
    """Return the reason why there is no metric of a probe that raised in one of its methods."""
    reason = f"{probe.__name__}.{act} failed ({type(error).__name__}: {error}): mend the probe"
    return {metric.name: reason for metric in probe.metrics}
