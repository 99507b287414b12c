"""Resident memory: what stays, and the peak, from /proc/self/statm, the high-water mark and samples."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping, Sequence
from functools import cache

from cyx.probes import Interval
from cyx.probes.sampler import RssSampler
from pytest_memperf.metrics.probe import FLOOR_PAGES, Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import BYTES


@cache
def _mark_can_be_reset() -> bool:
    return os.access("/proc/self/clear_refs", os.W_OK)


class ResidentMemory(Probe):
    """Growth of the resident set over the window."""

    metrics = (
        Metric(
            "peak_rss",
            BYTES,
            Better.LOWER,
            Trust.BOUNDED,
            Cost.ALWAYS,
            help="largest growth of resident memory over the window's start",
            source="VmHWM reset by clear_refs, statm at both ends",
            headline=True,
            floor=FLOOR_PAGES * mmap.PAGESIZE,
        ),
        Metric(
            "retained_rss",
            BYTES,
            Better.LOWER,
            Trust.BOUNDED,
            Cost.ALWAYS,
            help="resident memory at the end beyond that at the start",
            source="statm at both ends",
            headline=True,
            floor=FLOOR_PAGES * mmap.PAGESIZE,
        ),
        Metric(
            "peak_rss_total",
            BYTES,
            Better.LOWER,
            Trust.BOUNDED,
            Cost.ALWAYS,
            help="largest resident memory of the process in the window",
            source="VmHWM reset by clear_refs, statm at the start",
            level=True,
        ),
    )

    def __init__(self) -> None:
        self._sampler: RssSampler | None = None

    @classmethod
    def acts(cls) -> bool:
        """Only to take samples, where the mark cannot be reset."""
        return not _mark_can_be_reset()

    def prepare(self, interval: Interval, requested: Sequence[str]) -> None:
        """Have a narrow peak where somebody asks for it: it costs up to a millisecond at the stop.

        Where the mark cannot be reset, samples tell what the peak is at least.
        """
        interval.narrow = "peak_rss" in requested or "peak_rss_total" in requested
        if interval.narrow and not _mark_can_be_reset():
            self._sampler = RssSampler()

    def start(self) -> None:
        """Start the sampler, where there is one."""
        if self._sampler is not None:
            self._sampler.start()

    def stop(self) -> None:
        """Stop the sampler, where there is one."""
        if self._sampler is not None:
            self._sampler.stop()

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where /proc cannot be read."""
        if not os.access("/proc/self/statm", os.R_OK):
            return {metric.name: "/proc/self cannot be read: mount /proc" for metric in cls.metrics}
        return {}

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return all three; a peak is the middle of the interval that it lies in."""
        interval = observation.interval
        read_error, _ = interval.errors
        if read_error:
            reason = f"/proc/self cannot be read ({os.strerror(read_error)}): mount /proc"
            return {metric.name: reason for metric in self.metrics}
        retained = Reading(interval.retained_rss, interval.retained_uncertainty)
        low, high = interval.peak_bounds
        if self._sampler is not None:
            sampled = self._sampler.largest_within(interval) - interval.resident_at_start
            low = min(max(low, sampled - interval.retained_uncertainty), high)
        middle, uncertainty = (low + high) // 2, (high - low) // 2
        return {
            "retained_rss": retained,
            "peak_rss": Reading(middle, uncertainty),
            "peak_rss_total": Reading(interval.resident_at_start + middle, uncertainty),
        }
