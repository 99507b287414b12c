"""System calls that the process enters, as the kernel's tracepoint of them counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cyx.probes import Interval
from pytest_memperf.environment.tracefs import ENTERED, counting_unavailable, tracepoint
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import COUNT

_FLOOR = 1
"""Calls by which an unrelated edit may move one: Python maps another arena a line earlier or later."""


def _row(name: str, help: str) -> Metric:
    source = "perf tracepoint raw_syscalls:sys_enter"
    return Metric(name, COUNT, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, help=help, source=source, floor=_FLOOR)


class SystemCalls(Probe):
    """Calls of all threads of the process, without those that measuring takes."""

    metrics = (  # in the order in which the interval has them
        _row("syscalls", "system calls of all threads"),
        _row("brk_calls", "calls of brk(2), which moves the end of the heap"),
        _row("mmap_calls", "calls of mmap(2)"),
        _row("munmap_calls", "calls of munmap(2)"),
        _row("madvise_calls", "calls of madvise(2)"),
    )

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where there is no such tracepoint, or perf may not count it."""
        reason = counting_unavailable()
        return {metric.name: reason for metric in cls.metrics} if reason else {}

    def prepare(self, interval: Interval, requested: Sequence[str]) -> None:
        """Have the interval count."""
        try:
            interval.tracepoint = tracepoint(ENTERED)
        except LookupError:
            interval.tracepoint = 0  # and the reading says why

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the counts, or the reason why there are none."""
        try:
            counts = observation.interval.system_calls
        except OSError as error:
            reason = str(error.strerror)
            return {metric.name: reason for metric in self.metrics}
        if counts is None:
            reason = counting_unavailable() or "tracefs was mounted only after the window had begun"
            return {metric.name: reason for metric in self.metrics}
        return {metric.name: Reading(count) for metric, count in zip(self.metrics, counts, strict=True)}
