"""Huge pages of the pools that nodes have."""

from __future__ import annotations

import errno
import mmap
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from cyx import hugepages, numa
from cyx.region import Region
from pytest_memperf.environment import room
from pytest_memperf.environment.numa import Topology
from pytest_memperf.environment.owner import this_process
from pytest_memperf.environment.reservations import Ledger
from pytest_memperf.fixtures.hugepage_region import HugePageRegions
from pytest_memperf.fixtures.numa_buffer import NumaBuffers

HUGE = 2 * 1024 * 1024
GIGANTIC = 1024 * 1024 * 1024
SMALL = HUGE // mmap.PAGESIZE
MAP_HUGETLB = 0x40000
MAP_HUGE_2MB = 21 << 26
MADV_POPULATE_WRITE = 23
EHWPOISON = 133

Map = Callable[[int], mmap.mmap]

pytestmark = pytest.mark.usefixtures("pools")


def free(node: int) -> int:
    """Return how many huge pages of the node are free."""
    folder = Path(f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB")
    return int((folder / "free_hugepages").read_text()) if folder.exists() else 0


@pytest.fixture
def pools(nodes: Topology, require: Callable[[bool, str], None]) -> Iterator[None]:
    """Nodes 0 and 1 have huge pages of 2 MiB; each has as many after the test."""
    before = free(0), free(1)
    require(min(before) >= 8, "nodes 0 and 1 with 8 free huge pages each")
    yield
    assert (free(0), free(1)) == before


@pytest.fixture
def kept() -> Callable[[], tuple[int, int]]:
    """Return a function for the huge pages that nodes 0 and 1 keep, used or not."""

    def look(node: int) -> int:
        folder = Path(f"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB")
        return int((folder / "nr_hugepages").read_text()) - int((folder / "surplus_hugepages").read_text())

    return lambda: (look(0), look(1))


@pytest.fixture
def huge() -> Iterator[Map]:
    """Return a function that maps so many huge pages, none of them touched or reserved."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB | 0x4000  # MAP_NORESERVE
    with ExitStack() as mapped:
        yield lambda pages: mapped.enter_context(mmap.mmap(-1, pages * HUGE, flags=flags))


@pytest.mark.parametrize("node", [0, 1])
def test_bound_pages_come_from_the_pool_of_the_node(
    huge: Map, numa_maps: Callable[[int], dict[int, int]], node: int
) -> None:
    """The other one keeps all of its pages."""
    before = free(0), free(1)
    memory = huge(4)
    address, length = numa.address_of(memory)
    numa.mbind(address, length, "bind", [node])
    memory.madvise(MADV_POPULATE_WRITE)

    assert numa.pages_by_node(address, length) == {node: 4 * SMALL}
    assert numa_maps(address) == {node: 4}
    assert before[node] - free(node) == 4
    assert before[1 - node] == free(1 - node)


def test_interleaved_pages_come_from_both(huge: Map, numa_maps: Callable[[int], dict[int, int]]) -> None:
    """In turn, huge page by huge page."""
    memory = huge(6)
    address, length = numa.address_of(memory)
    numa.mbind(address, length, "interleave", [0, 1])
    memory.madvise(MADV_POPULATE_WRITE)

    assert numa.pages_by_node(address, length) == {0: 3 * SMALL, 1: 3 * SMALL}
    assert numa_maps(address) == {0: 3, 1: 3}
    assert set(numa.pages_by_node(address, HUGE)) != set(numa.pages_by_node(address + HUGE, HUGE))


@pytest.mark.parametrize("how", ["mbind", "move_pages"])
def test_pages_move(huge: Map, how: str) -> None:
    """Whole ones, with what is in them."""
    memory = huge(3)
    address, length = numa.address_of(memory)
    numa.mbind(address, length, "bind", [0])
    for page in range(3):
        memory[page * HUGE + 5] = page + 1
    if how == "mbind":
        numa.mbind(address, length, "bind", [1], move=True, strict=True)
    else:
        numa.move_pages(address, length, 1)

    assert numa.pages_by_node(address, length) == {1: 3 * SMALL}
    assert [memory[page * HUGE + 5] for page in range(3)] == [1, 2, 3]


def test_an_empty_pool_is_an_error(huge: Map) -> None:
    """What is bound to the node does not come from the other one, and the process lives."""
    memory = huge(free(1) + 1)
    address, length = numa.address_of(memory)
    numa.mbind(address, length, "bind", [1])
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        memory.madvise(MADV_POPULATE_WRITE)
    assert caught.value.errno in (errno.EFAULT, errno.ENOMEM, EHWPOISON)
    assert numa.pages_by_node(address, length).keys() <= {1}


def test_the_fixture(numa_buffer: NumaBuffers) -> None:
    """Its buffer is on the node's huge pages, and moves with them."""
    buffer = numa_buffer("8 MiB", "bind", [1], kind="hugetlb")
    assert buffer.node_fractions == {0: 0.0, 1: 1.0}
    assert buffer.huge_coverage == 1.0
    buffer.migrate(to=0)
    assert buffer.node_fractions == {0: 1.0, 1: 0.0}
    assert buffer.huge_coverage == 1.0
    buffer.discard()


@pytest.mark.parametrize("size", ["24 MiB", "1 GiB"])
def test_too_few_are_a_reason(refusing: NumaBuffers, size: str) -> None:
    """On the node, though the machine has enough, and on the machine; the pools are as before."""
    with ExitStack() as taken:
        if size == "24 MiB":
            other = taken.enter_context(Region((free(1) - 8) * HUGE, kind="hugetlb"))
            numa.mbind(other.address, other.mapped, "bind", [1])
            other.populate()
        with pytest.raises(Exception, match="huge pages"):
            refusing(size, "bind", [1], kind="hugetlb")
        refusing.close()


@pytest.mark.parametrize("taken", [0, 1])
def test_each_node_gets_its_pages_back(
    tmp_path: Path, huge: Map, kept: Callable[[], tuple[int, int]], taken: int
) -> None:
    """However the kernel has spread a reservation, and though someone has the free pages of a node meanwhile."""
    ledger = Ledger(tmp_path)
    before = kept()
    with Ledger().locked(), ledger.locked():
        for pages in (1, 3, 4):
            file = ledger.reserve(pages, HUGE, this_process())
            assert sum(kept()) == sum(before) + pages
            memory = huge(free(taken))
            numa.mbind(*numa.address_of(memory), "bind", [taken])
            memory.madvise(MADV_POPULATE_WRITE)
            assert ledger.give_back(file) == pages
            memory.close()
            assert kept() == before


def test_what_was_taken_by_one_who_was_killed_goes_back_to_its_node(
    tmp_path: Path, kept: Callable[[], tuple[int, int]]
) -> None:
    """The next one finds what he had not written down: which node had how many."""
    before = kept()
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pytest_memperf.environment.owner import this_process\n"
        "from pytest_memperf.environment.reservations import Ledger\n"
        "class Killed(Ledger):\n"
        "    def _keep(self, folder, pages):\n"
        "        super()._keep(folder, pages)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "ledger = Killed(Path(sys.argv[1]))\n"
        "with ledger.locked():\n"
        "    ledger.reserve(3, int(sys.argv[2]), this_process())\n"
    )
    with Ledger().locked():
        done = subprocess.run([sys.executable, "-c", script, str(tmp_path), str(HUGE)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert sum(kept()) == sum(before) + 3
        assert Ledger(tmp_path).clear() == 3
    assert kept() == before


def test_a_page_larger_than_the_memory(require: Callable[[bool, str], None]) -> None:
    """The machine lacks it; the size that was asked for is no mistake."""
    memory = room.whole_memory() or 0
    require(GIGANTIC in hugepages.sizes() and memory < GIGANTIC, "huge pages of 1 GiB and less memory than that")

    def lacking(reason: str) -> NoReturn:
        raise LookupError(reason)

    with pytest.raises(LookupError, match=r"the pages are 1 GiB, this machine has .* of memory: take smaller pages"):
        HugePageRegions(lacking)("8 MiB", page_size="1 GiB", reserve=True)
