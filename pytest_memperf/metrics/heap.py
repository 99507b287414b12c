"""The heap of the library that serves malloc, by its own statistics, at the end of the window."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache

from pytest_memperf.environment.process import serving
from pytest_memperf.malloc import MALLOCS
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import BYTES, SHARE, Unit

_SOURCE = "mallinfo2, mallctl, MallocExtension or mi_heap_visit_blocks"


def _row(name: str, help: str, better: Better = Better.LOWER, unit: Unit = BYTES) -> Metric:
    return Metric(name, unit, better, Trust.EXACT, Cost.ON_REQUEST, help=help, source=_SOURCE, level=True)


@cache
def _serving() -> str:
    """Return the name of what serves malloc in this process, which it does to its end."""
    return serving()


class HeapOfMalloc(Probe):
    """What the library holds, keeps and has given back."""

    metrics = (
        _row("heap_allocated", "bytes of blocks of malloc that the program holds at the end"),
        _row("heap_active", "bytes of the pages at the end that such blocks lie on"),
        _row("heap_resident", "bytes at the end that malloc keeps in memory"),
        _row("heap_retained", "bytes of addresses at the end whose memory malloc has given back", Better.NEITHER),
        _row("fragmentation", "active bytes at the end that no block needs", unit=SHARE),
    )

    def __init__(self) -> None:
        self._readings: dict[str, Reading | str] = {}

    @classmethod
    def unavailable(cls) -> Mapping[str, str]:
        """Return what the library that serves this process does not tell."""
        probe = cls()
        probe.stop()
        return {name: reading for name, reading in probe._readings.items() if isinstance(reading, str)}

    def start(self) -> None:
        """Nothing: the figures are those of the end."""

    def stop(self) -> None:
        """Ask the library."""
        self._readings = _readings()

    def read(self, observation: Observation) -> Mapping[str, Reading | str]:
        """Return what it said."""
        return self._readings


def _readings() -> dict[str, Reading | str]:
    names = [metric.name for metric in HeapOfMalloc.metrics]
    malloc = MALLOCS.get(_serving())
    if malloc is None:
        return dict.fromkeys(names, f"malloc is served by {_serving()}, whose statistics nobody reads here")
    try:
        heap = malloc.heap(ctypes.CDLL(None))
    except (OSError, AttributeError) as error:
        return dict.fromkeys(names, f"{malloc.name} does not tell its statistics ({error}): use a usual, newer build")
    told = {**{f"heap_{name}": value for name, value in asdict(heap).items()}, "fragmentation": heap.fragmentation}
    return {name: value if isinstance(value, str) else Reading(value) for name, value in told.items()}
