"""The NUMA nodes of this machine against another witness, and of made-up machines in folders."""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path

import psutil
import pytest

from cyx import numa
from pytest_memperf.environment.numa import Topology, listed, topology

GIB = 1 << 30


@pytest.fixture
def made_up(tmp_path: Path) -> Topology:
    """Return a machine whose node 1 has no memory, node 2 no processor, and whose node 10 is outside the cpuset."""
    nodes = {0: ("0-1,4", 1 << 20, 300_000), 1: ("2-3", 0, 0), 2: ("", 1 << 21, 100), 10: ("5", 1 << 20, 0)}
    distances = ["10 20 17 30", "20 10 28 30", "17 28 10 30", "30 30 30 10"]
    for (number, (cpus, memory, free)), row in zip(nodes.items(), distances, strict=True):
        folder = tmp_path / f"sys/devices/system/node/node{number}"
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(f"{cpus}\n")
        (folder / "distance").write_text(f"{row}\n")
        amounts = {"MemTotal": memory, "MemFree": free, "Active(file)": free // 2, "Active(anon)": 7, "Mapped": 9}
        lines = [f"Node {number} {name + ':':15} {amount} kB" for name, amount in amounts.items()]
        (folder / "meminfo").write_text("\n".join(lines) + f"\nNode {number} HugePages_Free:    5\n")
    status = tmp_path / "proc/thread-self/status"
    status.parent.mkdir(parents=True)
    status.write_text("Name:\tpython\nMems_allowed:\t7\nMems_allowed_list:\t0-2\n")
    return topology(tmp_path)


def test_a_machine_with_odd_nodes(made_up: Topology) -> None:
    """Processors, memory and distances are those of the files, by the nodes' own numbers."""
    assert list(made_up.nodes) == [0, 1, 2, 10]
    assert [node.cpus for node in made_up.nodes.values()] == [(0, 1, 4), (2, 3), (), (5,)]
    assert [node.memory for node in made_up.nodes.values()] == [GIB, 0, 2 * GIB, GIB]
    assert made_up.nodes[2].distances == {0: 17, 1: 28, 2: 10, 10: 30}
    assert made_up.with_cpus == (0, 1, 10)
    assert made_up.with_memory == (0, 2)
    assert made_up.nodes[0].free() == 450_000 * 1024


def test_this_machine() -> None:
    """Its memory and its processors are those that others count, its allowed nodes those of the system call.

    What others count is /proc/zoneinfo: where memory comes and goes while the machine runs, its total has more.
    """
    found = topology()
    if not found.nodes:
        pytest.skip("the kernel knows nothing of NUMA")
    total = sum(node.memory for node in found.nodes.values())
    managed = re.findall(r"managed +(\d+)", Path("/proc/zoneinfo").read_text())
    assert total == sum(map(int, managed)) * mmap.PAGESIZE <= psutil.virtual_memory().total
    assert sorted(cpu for node in found.nodes.values() for cpu in node.cpus) == list(range(os.cpu_count() or 0))
    assert set(found.with_memory) == set(numa.mems_allowed()) <= found.allowed
    assert all(node.distances[number] == 10 for number, node in found.nodes.items())
    assert 0 < sum(node.free() for node in found.nodes.values()) < total


def test_a_kernel_without_numa(tmp_path: Path) -> None:
    """There are no nodes."""
    assert topology(tmp_path) == Topology({}, frozenset())


@pytest.mark.parametrize(
    ("text", "numbers"), [(None, ()), ("", ()), ("0", (0,)), ("0-2", (0, 1, 2)), ("3,5-6,9", (3, 5, 6, 9))]
)
def test_lists(text: str | None, numbers: tuple[int, ...]) -> None:
    """Ranges and single numbers, as the kernel writes them."""
    assert listed(text) == numbers
