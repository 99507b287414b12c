"""The share of memory that is on the processor's own NUMA node."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from pytest_memperf.environment.numa import placement_unavailable, topology
from pytest_memperf.fixtures.cpu_pinning import CpuPinning
from pytest_memperf.fixtures.numa_buffer import NumaBuffers
from pytest_memperf.measure.settings import Settings
from pytest_memperf.measure.window import Window
from pytest_memperf.metrics import BUILT_IN, Registry
from pytest_memperf.metrics.nodes import Nodes, bytes_by_node

SIZE = 64 * 2**20
NODES = topology()
MAPS = """\
7f0000000000 default anon=100 dirty=100 active=0 N0=60 N1=40 kernelpagesize_kB=4
7f0000100000 bind:1 file=/anon_hugepage\\040(deleted) huge anon=2 dirty=2 N1=2 kernelpagesize_kB=2048
7f0000200000 default heap anon=7 dirty=7 N2=7 kernelpagesize_kB=4
7f0000300000 default file=/usr/bin/python mapped=9 N0=9 kernelpagesize_kB=4
7f0000400000 default
"""

needs_nodes = pytest.mark.skipif(
    not NODES.with_memory or placement_unavailable() is not None,
    reason="memory cannot be placed here: use a kernel with CONFIG_NUMA, and allow mbind(2) in the container",
)


def measured() -> float:
    """Return what the metric reads now."""
    window = Window("test", Settings(metrics=("local_share",), requested=("local_share",)), Registry(BUILT_IN))
    window.repeat(int, (), {})
    assert "local_share" not in window.unavailable(), window.unavailable()
    return float(window.measured()["local_share"].value)


@needs_nodes
@pytest.mark.parametrize("memory", NODES.with_memory)
@pytest.mark.parametrize("processor", NODES.with_cpus)
def test_memory_that_is_known_to_lie_somewhere(
    numa_buffer: NumaBuffers, cpu_pinning: CpuPinning, memory: int, processor: int
) -> None:
    """Seen from its node it is what counts, from another one what is missing; one node has all."""
    cpu_pinning(node=processor)
    buffer = numa_buffer(SIZE, "bind", [memory])
    share = measured()
    others = 1 - SIZE / psutil.Process().memory_full_info().uss  # what else there is, wherever it lies
    assert buffer.node_fractions[memory] == 1.0
    if memory == processor:
        assert share >= 1 - others - 0.02
    else:
        assert share <= others + 0.02
    if len(NODES.with_memory) == 1:
        assert share == float(memory == processor)


def test_pages_of_every_size_count_by_their_bytes(tmp_path: Path) -> None:
    """Those of files do not, but those of reserved huge pages, which the kernel shows as a file's."""
    (tmp_path / "numa_maps").write_text(MAPS)
    assert bytes_by_node(tmp_path / "numa_maps") == {0: 60 * 4096, 1: 40 * 4096 + 2 * 2**21, 2: 7 * 4096}


def test_a_kernel_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The reason names the mend; an empty list is no share at all."""
    monkeypatch.setattr(Nodes, "root", tmp_path)
    assert "CONFIG_NUMA" in Nodes.unavailable()["local_share"]
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "numa_maps").write_text("")
    assert Nodes.unavailable() == {}
