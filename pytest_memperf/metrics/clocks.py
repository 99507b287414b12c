"""Time, and the rate that follows from the declared bytes."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import RATE, SECONDS


class Clocks(Probe):
    """Elapsed and processor time of the window."""

    metrics = (
        Metric(
            "wall_time",
            SECONDS,
            Better.LOWER,
            Trust.NOISY,
            Cost.ALWAYS,
            help="elapsed time",
            source="clock_gettime CLOCK_MONOTONIC",
            headline=True,
        ),
        Metric(
            "cpu_time",
            SECONDS,
            Better.LOWER,
            Trust.NOISY,
            Cost.ALWAYS,
            help="user and system time of all threads",
            source="getrusage ru_utime + ru_stime",
        ),
        Metric(
            "throughput",
            RATE,
            Better.HIGHER,
            Trust.NOISY,
            Cost.ALWAYS,
            help="declared bytes over the elapsed time",
            source="bytes= of the marker, CLOCK_MONOTONIC",
            needs_bytes=True,
            headline=True,
        ),
    )

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the times, and the throughput where the test declared its bytes."""
        interval, wall = observation.interval, observation.wall_time
        cpu = interval.cpu_time
        if observation.include_children:
            cpu += interval.children[2]
        readings: dict[str, Reading | str] = {"wall_time": wall, "cpu_time": Reading(cpu)}
        if observation.bytes is not None:
            readings["throughput"] = wall if isinstance(wall, str) else _rate(observation.bytes, wall)
        return readings


def _rate(moved: int, time: Reading) -> Reading:
    seconds = max(time.value, 1e-9)
    return Reading(moved / seconds, moved / seconds * (time.uncertainty / seconds))
