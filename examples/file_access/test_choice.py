"""Copied by ``read()`` or mapped: what each costs for small files and large ones, and for several processes.

The budgets are counts and sizes, no times. See README.md.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cyx import patterns

MIB = 1024 * 1024
LARGE = int(os.environ.get("FILE_ACCESS_MIB", "256")) * MIB // 4
SMALL = 16 * 1024
FILES = 512  # small ones
ENOUGH = MIB  # that copies may take in all processes together
FAULTS = 64  # of a call that maps nothing
SLACK = LARGE // 50 + MIB  # what a process takes beside the file

both_ways = pytest.mark.parametrize("way", ["read", "map"])


def choice(size: int, processes: int = 1) -> str:
    """Return how to have a file in so many processes: copied, unless the copies would be too large together."""
    return "read" if size * processes <= ENOUGH else "map"


@contextmanager
def contents(path: Path, way: str) -> Iterator[bytes | mmap.mmap]:
    """Have the contents of the file in this way."""
    with open(path, "rb", buffering=0) as file:
        if way == "read":
            yield file.read()
        else:
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
                yield mapped


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write many small files."""
    folder = tmp_path_factory.mktemp("small")
    for number in range(FILES):
        content = bytearray(SMALL)
        patterns.fill(content, seed=number)
        (folder / str(number)).write_bytes(content)
    return sorted(folder.iterdir())


@pytest.mark.memperf(
    bytes=FILES * SMALL,
    rounds=3,
    warmup=1,
    max_minor_faults={"read": FAULTS, "map": FILES * (SMALL // mmap.PAGESIZE + 1) + FAULTS},
    min_minor_faults={"read": None, "map": FILES},
    max_major_faults=FAULTS,
)
@both_ways
def test_small_files(memperf: Any, small_files: list[Path], way: str) -> None:
    """A mapping is a fault or more for each file; a copy goes where the one before was, which takes none."""

    def first_and_last() -> int:
        total = 0
        for path in small_files:
            with contents(path, way) as content:
                total += content[0] + content[-1]
        return total

    assert memperf(first_and_last) == sum(sum(path.read_bytes()[:: SMALL - 1]) for path in small_files)
    assert choice(SMALL) == "read"


def resident() -> tuple[int, int]:
    """Return how much of this process is memory of its own, and how much is pages of files, to the page."""
    figures = {}
    with open("/proc/self/smaps_rollup") as rollup:
        for line in rollup:
            name, _, amount = line.partition(":")
            figures[name] = amount.split()[0]
    return int(figures["Anonymous"]) * 1024, (int(figures["Rss"]) - int(figures["Anonymous"])) * 1024


@both_ways
def test_large_file(memperf: Any, mapped_file: Any, way: str) -> None:
    """A copy is memory of the process's own; a mapping is the page cache itself, which the kernel can take back."""
    path = mapped_file(LARGE, cache="warm").path
    ctypes.CDLL(None).malloc_trim(0)  # or the copy may be given memory that an earlier test has freed
    before = resident()
    with contents(path, way) as content:
        patterns.touch(content, mmap.PAGESIZE)
        after = resident()

    whole, nothing = {"min": LARGE - SLACK, "max": LARGE + SLACK}, {"max": SLACK}
    copied, cached = (whole, nothing) if way == "read" else (nothing, whole)
    memperf.record("copied", max(0, after[0] - before[0]), unit="B", **copied)
    memperf.record("cached", max(0, after[1] - before[1]), unit="B", **cached)
    assert choice(LARGE) == "map"


@contextmanager
def holders(way: str, path: Path, processes: int) -> Iterator[Callable[[], list[int]]]:
    """Start processes that hold the file, yield a function for the bytes that it takes in each, and end them."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("holder.py")), way, str(path)]
    with ExitStack() as stack:
        started = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(processes)
        ]  # each ends when its standard input is closed, at the end of the with statement

        def answers() -> list[str]:
            return [each.stdout.readline().strip() for each in started if each.stdout is not None]

        def ask() -> list[int]:
            for each in started:
                print(file=each.stdin, flush=True)
            return [int(answer) for answer in answers()]

        assert answers() == ["started"] * processes  # each shares less of its program with every one that starts
        assert len(set(ask())) == 1  # what they have read
        yield ask


@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("way", ["read", "map", "chosen"])
def test_processes(memperf: Any, tmp_path: Path, way: str, processes: int) -> None:
    """One process has one copy either way; four have four, or one that they share."""
    path = tmp_path / "data"
    content = bytearray(LARGE)
    patterns.fill(content)
    path.write_bytes(content)
    del content
    with holders(choice(LARGE, processes) if way == "chosen" else way, path, processes) as ask:
        together = sum(ask())

    copies = processes if way == "read" else 1
    memperf.record(
        "all_together", together, unit="B", min=copies * LARGE - SLACK, max=copies * LARGE + processes * SLACK
    )


@pytest.mark.parametrize(
    ("size", "processes", "way"),
    [(SMALL, 1, "read"), (SMALL, 64, "read"), (MIB // 2, 2, "read"), (MIB // 2, 4, "map"), (MIB, 2, "map")],
)
def test_size_and_processes_count_together(size: int, processes: int, way: str) -> None:
    """What a file of half a MiB is worth depends on how many have it."""
    assert choice(size, processes) == way
