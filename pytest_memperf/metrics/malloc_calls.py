"""What goes through malloc, as a library of ours counts that stands before the one that serves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cyx.probes import Interval, malloc_calls
from pytest_memperf.malloc import counting
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import BYTES, COUNT, Unit

_ELSEWHERE = (
    "malloc is counted only in a process that is started for it: "
    "name one of its metrics in the marker, with isolation='process'"
)


def _row(name: str, help: str, unit: Unit = COUNT) -> Metric:
    source = "calls of malloc, counted by a library in LD_PRELOAD"
    return Metric(name, unit, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, help=help, source=source)


_NAMES = {
    "malloc_calls": "mallocs",
    "free_calls": "frees",
    "realloc_calls": "reallocs",
    "malloc_bytes": "requested",
    "malloc_peak": "peak",
    "small_mallocs": "small",
    "medium_mallocs": "medium",
    "large_mallocs": "large",
}
"""What the interval calls each metric."""


class MallocCalls(Probe):
    """Blocks of C that all threads take and give back."""

    metrics = (
        _row("malloc_calls", "blocks asked for: malloc, calloc and those of their kind"),
        _row("free_calls", "blocks given back"),
        _row("realloc_calls", "blocks that were to have another size"),
        _row("malloc_bytes", "bytes asked for, at each new size again", BYTES),
        _row("malloc_peak", "largest growth of bytes in blocks held at once, by their usable sizes", BYTES),
        _row("small_mallocs", "blocks asked for of at most 512 bytes"),
        _row("medium_mallocs", "blocks asked for of more than 512 bytes and at most 128 KiB"),
        _row("large_mallocs", "blocks asked for of more than 128 KiB"),
    )

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return the reason in a process that was started without the library."""
        return {} if malloc_calls.counted() else dict.fromkeys(_NAMES, _reason())

    def prepare(self, interval: Interval, requested: Sequence[str]) -> None:
        """Have the interval count."""
        interval.count_mallocs = True

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return the counts, or the reason why there are none."""
        found = observation.interval.mallocs
        if found is None:
            return dict.fromkeys(_NAMES, _reason())
        return {name: Reading(found[key]) for name, key in _NAMES.items()}


def needs_counting(requested: Sequence[str]) -> bool:
    """Tell whether a process has to be started with the library for the metrics that are asked for."""
    return not _NAMES.keys().isdisjoint(requested) and counting.lack() is None


def _reason() -> str:
    try:
        return counting.lack() or _ELSEWHERE
    except OSError as error:
        return f"nothing is known of this program ({error}): mount /proc"
