"""128 MiB on the nodes of a NUMA machine: bound, interleaved, where it is touched first, and moved. See README.md.

On a machine with one node the tests that need a second one are skipped.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from cyx import patterns

MIB = 1024 * 1024
SIZE = int(os.environ.get("NUMA_MIB", "128")) * MIB
FEW = 64  # faults of a call that maps nothing
NEARLY = 0.99  # the kernel may put a few pages elsewhere

nodes_0_and_1 = pytest.mark.parametrize("node", [0, 1])


@nodes_0_and_1
@pytest.mark.memperf(bytes=SIZE, max_minor_faults=FEW, rounds=3, warmup=1)
def test_scan_from_node_0(memperf: Any, numa_buffer: Any, cpu_pinning: Any, node: int) -> None:
    """Memory of the processor's own node and of the other: the throughput in the table is what the way costs."""
    cpu_pinning(node=0)
    buffer = numa_buffer(SIZE, policy="bind", nodes=[node])
    memperf(patterns.scan, buffer)

    assert buffer.node_fractions[node] == 1.0


@nodes_0_and_1
def test_first_touch(numa_buffer: Any, node: int) -> None:
    """Without a policy a page lies where it was touched first, not where it is used later."""
    buffer = numa_buffer(SIZE, policy="local", touch_from=node)
    assert buffer.node_fractions[node] >= NEARLY


def test_interleaved(numa_buffer: Any) -> None:
    """Pages in turn on both nodes: half on each, and so half the accesses are near, wherever the test runs."""
    buffer = numa_buffer(SIZE, policy="interleave", nodes=[0, 1])
    assert [buffer.node_fractions[node] for node in (0, 1)] == pytest.approx([0.5, 0.5], abs=1 - NEARLY)


def test_moved(numa_buffer: Any) -> None:
    """What lies on the wrong node can be moved, and keeps its contents."""
    buffer = numa_buffer(SIZE, policy="bind", nodes=[0])
    patterns.fill(buffer)
    before = patterns.scan(buffer).checksum
    buffer.migrate(1)

    assert buffer.node_fractions[1] == 1.0
    assert patterns.scan(buffer).checksum == before


def test_own_node_is_nearest(numa_buffer: Any, cpu_pinning: Any) -> None:
    """The distances of the firmware's table: 10 to a processor's own memory, more to any other."""
    cpu_pinning(node=0)
    buffer = numa_buffer(MIB)
    assert buffer.distances[0] == 10
    assert all(distance > 10 for node, distance in buffer.distances.items() if node != 0)
