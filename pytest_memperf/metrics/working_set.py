"""The memory that the window touched, whether it was resident before or not."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping, Sequence

from cyx.probes import Interval
from pytest_memperf.metrics.probe import FLOOR_PAGES, Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import BYTES


class WorkingSet(Probe):
    """Pages with their accessed bit set, beyond those that any Python code touches."""

    metrics = (
        Metric(
            "working_set",
            BYTES,
            Better.LOWER,
            Trust.BOUNDED,
            Cost.ON_REQUEST,
            help="anonymous memory touched in the window",
            source="clear_refs 1 and a TLB flush, then Referenced in smaps",
            floor=FLOOR_PAGES * mmap.PAGESIZE,
        ),
        Metric(
            "working_set_file",
            BYTES,
            Better.LOWER,
            Trust.BOUNDED,
            Cost.ON_REQUEST,
            help="file pages touched in the window, at most",
            source="clear_refs 1 and a TLB flush, then Referenced in smaps",
            floor=FLOOR_PAGES * mmap.PAGESIZE,
        ),
    )

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where the accessed bits can be neither cleared nor read."""
        for path, mode, mend in (
            ("/proc/self/clear_refs", os.W_OK, "mount /proc writable"),
            ("/proc/self/smaps", os.R_OK, "mount /proc, and run a kernel with CONFIG_PROC_PAGE_MONITOR"),
        ):
            if not os.access(path, mode):
                return {metric.name: f"{path} cannot be used by this user: {mend}" for metric in cls.metrics}
        return {}

    def prepare(self, interval: Interval, requested: Sequence[str]) -> None:
        """Have the interval clear the bits when it starts."""
        interval.track_accessed = True

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return both; the anonymous part is less by what idle Python touches, and uncertain by as much."""
        try:
            accessed = observation.interval.accessed
        except OSError as error:
            return {metric.name: f"the accessed bits cannot be had ({error.strerror})" for metric in self.metrics}
        if accessed is None:
            return {metric.name: "the interval was not told to track them" for metric in self.metrics}
        low, high, file, idle = accessed
        middle = max(0, (low + high) // 2 - idle)
        return {
            "working_set": Reading(middle, (high - low + 1) // 2 + idle),
            "working_set_file": Reading(file, file),
        }
