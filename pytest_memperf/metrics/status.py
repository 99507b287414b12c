"""What is resident, swapped and locked at the end of the window, as /proc/self/status has it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cyx.probes import batches, procfs
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import BYTES

_FIELDS = {
    "rss_anon": ("anonymous", "RssAnon", "resident anonymous memory at the end"),
    "rss_file": ("file", "RssFile", "resident file pages at the end"),
    "rss_shmem": ("shared", "RssShmem", "resident shared memory at the end"),
    "page_tables": ("page_tables", "VmPTE", "memory of the page tables at the end"),
    "swapped": ("swapped", "VmSwap", "anonymous memory that is swapped out at the end"),
    "locked": ("locked", "VmLck", "memory locked into RAM at the end"),
}
"""Each metric's key in ``procfs.status``, the field of the file, and the help."""

_COUNTERS = ("rss_anon", "rss_file", "rss_shmem")
"""The metrics that kernels before 6.16 show without what the CPUs hold back."""


class Status(Probe):
    """Totals of the process at the end of the window."""

    root: str | os.PathLike[str] = Path("/proc")
    metrics = tuple(
        Metric(
            name,
            BYTES,
            Better.LOWER,
            Trust.EXACT,
            Cost.ON_REQUEST,
            help=text,
            source=f"{field} of /proc/self/status",
            level=True,
        )
        for name, (_, field, text) in _FIELDS.items()
    )

    def __init__(self) -> None:
        self._figures: dict[str, int] = {}
        self._error = 0
        self._reason = ""

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the fields that this kernel does not show."""
        probe = cls()
        probe.stop()
        return {name: reading for name, reading in probe.values().items() if isinstance(reading, str)}

    def start(self) -> None:
        """Nothing: the figures are totals at the end."""

    def stop(self) -> None:
        """Read the file."""
        try:
            self._figures = procfs.status(self.root)
            self._error = batches.counter_error()
        except OSError as error:
            self._reason = f"/proc/self/status cannot be read ({error.strerror}): mount /proc"

    def values(self) -> Mapping[str, Reading | str]:
        """Return what ``stop`` found, or the reason for each figure that is not there."""
        return {
            name: Reading(self._figures[key], self._error if name in _COUNTERS else 0)
            if key in self._figures
            else self._reason or f"this kernel shows no {field} in /proc/self/status"
            for name, (key, field, _) in _FIELDS.items()
        }

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the totals."""
        return self.values()
