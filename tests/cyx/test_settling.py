"""Settled heaps hold fresh pages only; forks get pages of their own. Seen from a process of each test's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cyx import copy_on_write


def run(text: str) -> str:
    """Run the program in an interpreter of its own, for it spoils its heaps; return what it prints."""
    return subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True).stdout.strip()


def test_settled_malloc_begins_a_page() -> None:
    """The next chunk that was never used begins a page, whatever lay free before."""
    for count in (10, 333, 1_001):
        ends = run(
            f"""
from cyx import settling
junk = [bytes(n % 3000) for n in range({count})]
del junk[::2]
settling.watch_arenas()
print(settling.settle(), settling.end_of_heap() % 4096)
"""
        )
        assert ends == "0 0"


def test_free_blocks_do_not_serve_what_comes_after() -> None:
    """Megabytes that were freed lie there before settling, and fault anew after it."""
    faults = run(
        """
import resource
from cyx import settling
settling.watch_arenas()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work(): return [bytes(400) for _ in range(5_000)]
keep = work(); anchors = keep[::100]; del keep  # each arena holds one and stays mapped
before = faults(); keep = work(); warm = faults() - before
del keep
settling.settle()
before = faults(); keep = work(); settled = faults() - before
print(warm, settled)
"""
    )
    warm, settled = map(int, faults.split())
    assert settled > 400 > warm


def test_missing_parts_are_told() -> None:
    """Without pymalloc there is nothing to watch; the answer says so."""
    program = "from cyx import settling; settling.watch_arenas(); print(settling.settle())"
    ended = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONMALLOC": "malloc"}, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "1"


def test_copied_pages_do_not_fault_in_a_fork() -> None:
    """A fork faults on each page that it writes; none after the copy has been made beforehand."""
    faults = run(
        """
import mmap, os, resource
from cyx import copy_on_write as cow
memory = mmap.mmap(-1, 1_000 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
def touch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for page in range(1_000): memory[page * 4096] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
touch()
for copied in (False, True):
    if os.fork() == 0:
        if copied:
            ranges = [(start, end) for start, end, _, write, private, _ in cow.mappings() if write and private]
            assert cow.populate(cow.present_pages(ranges, False), True, 1 << 40) == 0
        print(touch(), flush=True)
        os._exit(0)
    os.wait()
"""
    )
    shared, own = map(int, faults.split())
    assert shared >= 1_000
    assert own < 20


@pytest.mark.parametrize(
    ("taken", "rest"),
    [
        ([], [(0, 40), (60, 80)]),
        ([(10, 20)], [(0, 10), (20, 40), (60, 80)]),
        ([(10, 20), (20, 30)], [(0, 10), (30, 40), (60, 80)]),
        ([(0, 40), (70, 80)], [(60, 70)]),
        ([(30, 70)], [(0, 30), (70, 80)]),
        ([(40, 60)], [(0, 40), (60, 80)]),
    ],
    ids=str,
)
def test_ranges_without_others(taken: list[tuple[int, int]], rest: list[tuple[int, int]]) -> None:
    """What is taken goes, wherever it lies in a range; the rest stays."""
    assert copy_on_write.without([(0, 40), (60, 80)], taken) == rest
