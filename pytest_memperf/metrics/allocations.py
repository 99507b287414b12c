"""Allocations of Python and NumPy, counted where they ask for memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cyx.hooks import Counter, unavailable
from cyx.probes import Interval
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import BYTES, COUNT, Unit

_FLOOR_BLOCKS = 4
"""Blocks that an unrelated edit may move: what Python's free lists hold."""
_FLOOR_BYTES = 4096


def _row(name: str, unit: Unit, help: str) -> Metric:
    source = "hooks of CPython's memory domains (PEP 445) and of NumPy's data (NEP 49)"
    floor = _FLOOR_BLOCKS if unit is COUNT else _FLOOR_BYTES
    return Metric(name, unit, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, help=help, source=source, floor=floor)


class Allocations(Probe):
    """Blocks that the domains raw, mem and object and NumPy's arrays ask for; a realloc is an allocation and a free."""

    metrics = (
        _row("allocations", COUNT, "blocks that Python and NumPy allocated"),
        _row("frees", COUNT, "blocks of these that they freed"),
        _row("allocated_bytes", BYTES, "bytes that Python and NumPy asked for, in sum"),
        _row("peak_heap", BYTES, "most bytes of blocks allocated in the window that were live at once"),
        _row("live_blocks", COUNT, "blocks allocated in the window that are live at the end"),
    )

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason where this interpreter cannot be hooked."""
        reason = unavailable()
        return {metric.name: reason for metric in cls.metrics} if reason else {}

    def prepare(self, interval: Interval, requested: Sequence[str]) -> None:
        """Have the interval count."""
        try:
            interval.counter = Counter()
        except RuntimeError:
            interval.counter = None  # and the reading says why

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the counts, or the reason why there are none."""
        counter = observation.interval.counter
        reason = None
        if counter is None:
            reason = unavailable() or "the allocator hooks were taken away: stop what replaced them"
        elif not counter.is_complete:
            reason = "there was no memory to keep all blocks in mind: count a shorter window"
        if counter is None or reason is not None:
            return {metric.name: str(reason) for metric in self.metrics}
        return {metric.name: Reading(getattr(counter, metric.name)) for metric in self.metrics}
