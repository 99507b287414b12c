"""Throughput as a share of the rate at which this machine reads memory, measured round the same call."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median

from cyx import patterns
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import SHARE, format_size, parse_size

_READINGS = 3  # at each end of a round: one alone would not show how far they scatter
_CACHE_SIZE = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")


def _size() -> int:
    """Return the bytes of the reference: twice the last-level cache, so that it is read from memory."""
    size = 0
    with suppress(OSError, ValueError):  # no such cache, or the kernel does not tell
        size = 2 * parse_size(_CACHE_SIZE.read_text().strip())
    return min(max(size, 64 * 1024**2), 256 * 1024**2)


class Reference:
    """Memory to read, on huge pages where there are some; shared by the windows that are open at the same time.

    Outside of such windows the process does not have it: it is not there when others look at resident memory.
    """

    def __init__(self) -> None:
        self._memory: mmap.mmap | None = None
        self._users = 0

    def acquire(self) -> None:
        """Map and touch the memory where no other window has done so. OSError where there is not enough."""
        if self._memory is None:
            memory = mmap.mmap(-1, _size(), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            with suppress(OSError):  # a kernel without huge pages
                memory.madvise(mmap.MADV_HUGEPAGE)
            patterns.fill(memory)
            self._memory = memory
        self._users += 1

    def release(self) -> None:
        """Give the memory back where no other window uses it."""
        self._users -= 1
        if self._users == 0 and self._memory is not None:
            self._memory.close()
            self._memory = None

    def rates(self) -> list[float]:
        """Return the bytes a second of a few passes over the memory."""
        passes = [patterns.scan(self._memory) for _ in range(_READINGS)]
        return [each.bytes / (each.elapsed_ns / 1e9) for each in passes]


REFERENCE = Reference()


def _reason(error: OSError) -> str:
    return f"{format_size(_size())} to compare with cannot be had ({os.strerror(error.errno or 0)}): raise the limit"


class Bandwidth(Probe):
    """The machine's read rate right before and right after each round, in one thread, as the window's yardstick."""

    metrics = (
        Metric(
            "bandwidth_share",
            SHARE,
            Better.HIGHER,
            Trust.NOISY,
            Cost.ON_REQUEST,
            help="throughput over the rate at which one thread reads memory here and now; more with caches or threads",
            source="bytes= of the marker, CLOCK_MONOTONIC, reference readings round each round",
            needs_bytes=True,
        ),
    )

    def __init__(self) -> None:
        self._rates: list[float] = []
        self._error: OSError | None = None

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where the memory for the reference cannot be mapped."""
        try:
            mmap.mmap(-1, _size(), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        except OSError as error:
            return {"bandwidth_share": _reason(error)}
        return {}

    def start(self) -> None:
        """Read the reference before the round."""
        try:
            REFERENCE.acquire()
        except OSError as error:
            self._error = error
            return
        self._rates += REFERENCE.rates()

    def stop(self) -> None:
        """Read the reference again after the round."""
        if self._error is None:
            self._rates += REFERENCE.rates()
            REFERENCE.release()

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the share; it is as uncertain as the reference readings scatter, and the time."""
        if self._error is not None:
            return {"bandwidth_share": _reason(self._error)}
        if observation.bytes is None:
            return {"bandwidth_share": "there is no bytes=..., the bytes that one call moves"}
        if isinstance(observation.wall_time, str):
            return {"bandwidth_share": observation.wall_time}
        time, slack = observation.wall_time
        throughput = observation.bytes / max(time, 1e-9)
        share = throughput / median(self._rates)
        low = throughput / max(self._rates)
        high = throughput / min(self._rates)
        return {"bandwidth_share": Reading(share, (high - low) / 2 + share * slack / max(time, 1e-9))}
