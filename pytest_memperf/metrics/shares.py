"""Resident memory by how many processes share it and what pages it is on, from the page tables themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cyx.probes import smaps
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import BYTES, SHARE

_FIELDS = {"pss": ("Pss",), "uss": ("Private_Clean", "Private_Dirty")}
_RESERVED = ("Private_Hugetlb", "Shared_Hugetlb")


class Shares(Probe):
    """Proportional and unique set size, and the share on huge pages, at the end of the window."""

    root: str | os.PathLike[str] = Path("/proc")
    metrics = (
        Metric(
            "pss",
            BYTES,
            Better.LOWER,
            Trust.EXACT,
            Cost.ON_REQUEST,
            help="resident memory at the end, each page divided by the number of processes that map it",
            source="Pss of /proc/self/smaps_rollup",
            level=True,
        ),
        Metric(
            "uss",
            BYTES,
            Better.LOWER,
            Trust.EXACT,
            Cost.ON_REQUEST,
            help="resident memory at the end that no other process maps",
            source="Private_Clean + Private_Dirty of /proc/self/smaps_rollup",
            level=True,
        ),
        Metric(
            "huge_coverage",
            SHARE,
            Better.HIGHER,
            Trust.EXACT,
            Cost.ON_REQUEST,
            help="anonymous and reserved memory at the end that is on huge pages",
            source="AnonHugePages and Hugetlb of /proc/self/smaps_rollup",
            level=True,
        ),
    )

    def __init__(self) -> None:
        self._values: dict[str, Reading | str] = {}

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where the page tables are not shown."""
        probe = cls()
        probe.stop()
        return {name: reading for name, reading in probe._values.items() if isinstance(reading, str)}

    def start(self) -> None:
        """Nothing: the figures are totals at the end."""

    def stop(self) -> None:
        """Read the file."""
        try:
            figures = smaps.rollup(self.root)
            hidden = smaps.hidden(figures["Rss"], self.root)
        except OSError as error:
            mend = "mount /proc, and run a kernel with CONFIG_PROC_PAGE_MONITOR"
            reason = f"/proc/self/smaps_rollup cannot be read ({error.strerror}): {mend}"
            self._values = dict.fromkeys((metric.name for metric in self.metrics), reason)
            return
        for name, fields in _FIELDS.items():
            missing = [field for field in fields if field not in figures]
            self._values[name] = (
                f"this kernel shows no {missing[0]} in /proc/self/smaps_rollup"
                if missing
                else Reading(sum(figures[field] for field in fields) + hidden, hidden)  # a fork may share them
            )
        self._values["huge_coverage"] = _huge_coverage(figures, hidden)

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the totals and the share."""
        return self._values


def _huge_coverage(figures: Mapping[str, int], hidden: int) -> Reading | str:
    """Return the share on huge pages; the kernel counts reserved ones as neither resident nor anonymous."""
    if "AnonHugePages" not in figures:
        return "this kernel shows no AnonHugePages in /proc/self/smaps_rollup: use one with CONFIG_TRANSPARENT_HUGEPAGE"
    reserved = sum(figures.get(field, 0) for field in _RESERVED)
    whole = figures.get("Anonymous", 0) + hidden + reserved
    return Reading((figures["AnonHugePages"] + hidden + reserved) / whole if whole else 0.0)
