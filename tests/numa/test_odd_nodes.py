"""A node without memory, and one without processors."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_memperf.environment.numa import Topology
from pytest_memperf.fixtures.cpu_pinning import CpuPinning
from pytest_memperf.fixtures.numa_buffer import NumaBuffers

pytestmark = pytest.mark.usefixtures("odd_nodes")
SIZE = "4 MiB"


@pytest.fixture
def odd_nodes(nodes: Topology, require: Callable[[bool, str], None]) -> None:
    """Node 1 has no memory, node 2 no processors."""
    require(
        (nodes.with_memory, nodes.with_cpus) == ((0, 2), (0, 1)), "three nodes, 1 without memory, 2 without processors"
    )


def test_as_numactl_tells_it(nodes: Topology, numactl: Callable[..., str]) -> None:
    """It prints an empty list for the one, 0 MB for the other; distances are listed for all."""
    told = numactl("--hardware")
    assert "node 1 size: 0 MB" in told
    assert "node 2 cpus:\n" in told
    assert nodes.nodes[1].distances == {0: 20, 1: 10, 2: 28}


@pytest.mark.parametrize("node", [0, 2])
@pytest.mark.parametrize("touch_from", [None, 0, 1])
def test_memory_is_where_there_is_some(
    numa_buffer: NumaBuffers, numa_maps: Callable[[int], dict[int, int]], node: int, touch_from: int | None
) -> None:
    """Also from a memoryless node, and on one without processors."""
    buffer = numa_buffer(SIZE, "bind", [node], touch_from=touch_from)
    assert buffer.node_fractions == {0: float(node == 0), 1: 0.0, 2: float(node == 2)}
    assert numa_maps(buffer.address) == {node: 1024}
    buffer.migrate(to=2 - node)
    assert buffer.node_fractions[2 - node] == 1.0


def test_local_to_a_memoryless_node_is_the_nearest(numa_buffer: NumaBuffers, cpu_pinning: CpuPinning) -> None:
    """By distance that is node 0."""
    assert numa_buffer(SIZE, touch_from=1).node_fractions == {0: 1.0, 1: 0.0, 2: 0.0}
    cpu_pinning(node=1)
    assert numa_buffer(SIZE).distances == {0: 20, 1: 10, 2: 28}


def test_interleaved_over_all_is_over_those_with_memory(numa_buffer: NumaBuffers) -> None:
    """The memoryless one is left out."""
    buffer = numa_buffer(SIZE, "interleave")
    assert buffer.nodes == (0, 2)
    assert buffer.node_fractions == {0: 0.5, 1: 0.0, 2: 0.5}


@pytest.mark.parametrize("policy", ["bind", "preferred", "preferred-many", "interleave"])
def test_no_memory_is_a_reason(refusing: NumaBuffers, policy: str) -> None:
    """For every policy that names the node."""
    with pytest.raises(
        Exception, match="node 1 has no memory on this machine: nodes whose memory can be used are 0, 2"
    ):
        refusing(SIZE, policy, [1])


def test_no_memory_to_move_to_is_a_reason(refusing: NumaBuffers) -> None:
    """The buffer stays where it is."""
    buffer = refusing(SIZE, "bind", [0])
    with pytest.raises(Exception, match="node 1 has no memory"):
        buffer.migrate(to=1)
    assert buffer.node_fractions[0] == 1.0
    refusing.close()


def test_no_processors_are_a_reason(refusing: NumaBuffers) -> None:
    """For whoever would touch memory from there."""
    with pytest.raises(Exception, match="node 2 has no processor on this machine: nodes with processors are 0, 1"):
        refusing(SIZE, touch_from=2)
