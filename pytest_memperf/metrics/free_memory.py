"""How the machine's free memory is cut up: the free blocks of the kernel's buddy allocator (proc_buddyinfo(5))."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path

from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import SHARE

_HUGE_PAGE = 2 * 2**20


class FreeMemory(Probe):
    """The share of free memory in which no huge page has room, at the end of the window."""

    file = Path("/proc/buddyinfo")
    metrics = (
        Metric(
            "external_fragmentation",
            SHARE,
            Better.LOWER,
            Trust.NOISY,
            Cost.ON_REQUEST,
            help="the machine's free memory at the end that lies in pieces smaller than 2 MiB",
            source="/proc/buddyinfo",
            level=True,
        ),
    )

    def __init__(self) -> None:
        self._reading: Reading | str = ""

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where the file cannot be read."""
        probe = cls()
        probe.stop()
        return {"external_fragmentation": probe._reading} if isinstance(probe._reading, str) else {}

    def start(self) -> None:
        """Nothing: the figure is one of the end."""

    def stop(self) -> None:
        """Read the file."""
        try:
            self._reading = Reading(in_small_pieces(self.file.read_text()))
        except (OSError, ValueError) as error:
            self._reading = f"{self.file} cannot be read ({error}): mount /proc, and read it as root"

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the share."""
        return {"external_fragmentation": self._reading}


def in_small_pieces(text: str, page_size: int = mmap.PAGESIZE) -> float:
    """Return the share of the free bytes of all zones that is in blocks below 2 MiB. ValueError for another text."""
    whole = small = 0
    for line in text.splitlines():
        _, zone, counts = line.partition(" zone ")
        if not zone:
            raise ValueError(f"{line!r} names no zone")
        for order, count in enumerate(counts.split()[1:]):
            size = page_size << order
            whole += int(count) * size
            small += int(count) * size if size < _HUGE_PAGE else 0
    return small / whole if whole else 0.0
