"""Page faults, as getrusage(2) counts them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pytest_memperf.metrics.probe import FLOOR_PAGES, Observation, Probe
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
            floor=FLOOR_PAGES,
        ),
        Metric(
            "major_faults",
            COUNT,
            Better.LOWER,
            Trust.BOUNDED,
            Cost.ALWAYS,
            help="page faults that waited for I/O",
            source="getrusage ru_majflt",
            floor=FLOOR_PAGES,
        ),
    )

    @classmethod
    def disturbance(cls, name: str, events: Mapping[str, int]) -> int:
        """A huge page that was refused costs a fault for each small one, what was swapped out one to come back."""
        swapped = events.get("pswpin", 0)
        if name == "major_faults":
            return swapped
        # A page of the table that a huge page stands in for has page size / 8 entries, on all 64-bit machines.
        return swapped + events.get("thp_fault_fallback", 0) * (os.sysconf("SC_PAGE_SIZE") // 8)

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return both counts."""
        interval = observation.interval
        minor, major = interval.minor_faults, interval.major_faults
        if observation.include_children:
            minor += interval.children[0]
            major += interval.children[1]
        return {"minor_faults": Reading(minor), "major_faults": Reading(major)}
