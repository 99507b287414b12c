"""The registry of metrics, and one file for each source of them."""

from __future__ import annotations

from pytest_memperf.metrics.allocations import Allocations
from pytest_memperf.metrics.bandwidth import Bandwidth
from pytest_memperf.metrics.block_reads import BlockReads
from pytest_memperf.metrics.clocks import Clocks
from pytest_memperf.metrics.faults import Faults
from pytest_memperf.metrics.free_memory import FreeMemory
from pytest_memperf.metrics.heap import HeapOfMalloc
from pytest_memperf.metrics.interference import Interference
from pytest_memperf.metrics.leftovers import LiveObjects, OpenFiles, Threads
from pytest_memperf.metrics.malloc_calls import MallocCalls
from pytest_memperf.metrics.nodes import Nodes
from pytest_memperf.metrics.probe import Observation, Probe
from pytest_memperf.metrics.registry import Probes, Registry
from pytest_memperf.metrics.resident import ResidentMemory
from pytest_memperf.metrics.run_delay import RunDelay
from pytest_memperf.metrics.shares import Shares
from pytest_memperf.metrics.status import Status
from pytest_memperf.metrics.system_calls import SystemCalls
from pytest_memperf.metrics.working_set import WorkingSet

__all__ = ["BUILT_IN", "Observation", "Probe", "Probes", "Registry"]

# In this order they are started, and stopped in the opposite one: the last ones sit closest to the window.
BUILT_IN: tuple[type[Probe], ...] = (
    Bandwidth,  # the first to start is the last to stop: the others do not see the memory that it reads
    Faults,
    ResidentMemory,
    Clocks,
    Shares,
    Nodes,
    HeapOfMalloc,
    MallocCalls,
    FreeMemory,
    Interference,
    RunDelay,
    BlockReads,
    SystemCalls,
    Allocations,
    OpenFiles,
    Threads,
    Status,
    LiveObjects,
    WorkingSet,
)
