"""The registry of metrics, and one file for each source of them."""

from __future__ import annotations

from pytest_memperf.metrics.bandwidth import Bandwidth
from pytest_memperf.metrics.clocks import Clocks
from pytest_memperf.metrics.faults import Faults
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.metrics.registry import Registry
from pytest_memperf.metrics.resident import ResidentMemory

__all__ = ["BUILT_IN", "Observation", "Probe", "Registry"]

BUILT_IN: tuple[type[Probe], ...] = (
    Bandwidth,  # the first to start is the last to stop: the others do not see the memory that it reads
    Faults,
    ResidentMemory,
    Clocks,
)
