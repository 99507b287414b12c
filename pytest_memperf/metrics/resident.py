"""Resident memory: what stays, and the peak, from /proc/self/statm and the high-water mark."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from cyx.probes import Interval
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import BYTES


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
        ),
        Metric(
            "peak_rss_total",
            BYTES,
            Better.LOWER,
            Trust.BOUNDED,
            Cost.ALWAYS,
            help="largest resident memory of the process in the window",
            source="VmHWM reset by clear_refs, statm at the start",
        ),
    )

    def prepare(self, interval: Interval, requested: Sequence[str]) -> None:
        """Have a narrow peak where somebody asks for it: it costs up to a millisecond at the stop."""
        interval.narrow = "peak_rss" in requested or "peak_rss_total" in requested

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where /proc cannot be read, or the high-water mark not be reset."""
        if not os.access("/proc/self/statm", os.R_OK):
            return {metric.name: "/proc/self cannot be read: mount /proc" for metric in cls.metrics}
        if not os.access("/proc/self/clear_refs", os.W_OK):
            reason = "the high-water mark cannot be reset: let this user write /proc/self/clear_refs"
            return {"peak_rss": reason, "peak_rss_total": reason}
        return {}

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return all three; a peak is the middle of the interval that it lies in."""
        interval = observation.interval
        read_error, reset_error = interval.errors
        if read_error:
            reason = f"/proc/self cannot be read ({os.strerror(read_error)}): mount /proc"
            return {metric.name: reason for metric in self.metrics}
        retained = Reading(interval.retained_rss, interval.retained_uncertainty)
        readings: dict[str, Reading | str] = {"retained_rss": retained}
        if reset_error:
            reason = (
                f"the high-water mark cannot be reset ({os.strerror(reset_error)}): "
                "let this user write /proc/self/clear_refs"
            )
            return {**readings, "peak_rss": reason, "peak_rss_total": reason}
        low, high = interval.peak_bounds
        middle, uncertainty = (low + high) // 2, (high - low) // 2
        readings["peak_rss"] = Reading(middle, uncertainty)
        readings["peak_rss_total"] = Reading(interval.resident_at_start + middle, uncertainty)
        return readings
