"""What the window fetched from storage."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from pathlib import Path

from cyx.probes import procfs
from pytest_memperf.metrics.probe import FLOOR_PAGES, Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import BYTES


class BlockReads(Probe):
    """Bytes that came from a block device for this process, by ``read`` and by page faults."""

    root: str | os.PathLike[str] = Path("/proc")
    metrics = (
        Metric(
            "block_read_bytes",
            BYTES,
            Better.LOWER,
            Trust.BOUNDED,
            Cost.ON_REQUEST,
            help="bytes fetched from storage in the window, read-ahead included",
            source="read_bytes of /proc/self/io",
            floor=FLOOR_PAGES * mmap.PAGESIZE,
        ),
    )

    def __init__(self) -> None:
        self._begin: int | str = "the window was not started"
        self._end: int | str = ""

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where the kernel does not count them."""
        count = cls()._count()
        return {"block_read_bytes": count} if isinstance(count, str) else {}

    def _count(self) -> int | str:
        try:
            return procfs.block_reads(self.root)
        except OSError as error:
            return f"/proc/self/io cannot be read ({error.strerror}): mount /proc, or let this user read its own files"
        except LookupError as error:
            return f"/proc/self/io shows no read_bytes: {error.args[0]}"

    def start(self) -> None:
        """Read the count."""
        self._begin = self._count()

    def stop(self) -> None:
        """Read the count again."""
        self._end = self._count()

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the growth: whole pages, so a page is the uncertainty where there is any."""
        begin, end = self._begin, self._end
        if isinstance(begin, str) or isinstance(end, str):
            return {"block_read_bytes": begin if isinstance(begin, str) else str(end)}
        growth = end - begin
        return {"block_read_bytes": Reading(growth, os.sysconf("SC_PAGESIZE") if growth else 0)}
