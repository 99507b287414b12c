"""Page faults, as getrusage(2) counts them."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import COUNT


class Faults(Probe):
    """Faults of all threads of the process, and on demand of the children it reaped."""

    metrics = (
        Metric(
            "minor_faults",
            COUNT,
            Better.LOWER,
            Trust.EXACT,
            Cost.ALWAYS,
            help="page faults served without I/O",
            source="getrusage ru_minflt",
            headline=True,
        ),
        Metric(
            "major_faults",
            COUNT,
            Better.LOWER,
            Trust.BOUNDED,
            Cost.ALWAYS,
            help="page faults that waited for I/O",
            source="getrusage ru_majflt",
        ),
    )

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return both counts."""
        interval = observation.interval
        minor, major = interval.minor_faults, interval.major_faults
        if observation.include_children:
            minor += interval.children[0]
            major += interval.children[1]
        return {"minor_faults": Reading(minor), "major_faults": Reading(major)}
