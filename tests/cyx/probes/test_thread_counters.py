"""Resident memory that is known, on whatever kernel this is: those before 6.2 run in the virtual machines."""

from __future__ import annotations

import mmap
import platform
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyx.probes import Interval, batches
from cyx.region import Region

MIB = 2**20
PAGE = mmap.PAGESIZE
MOST_HELD = 66 * 64 * 1024
"""Bytes that a thread may hold back."""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Region]:
    """Yield 16 MiB of a file, all of them in the page cache and none of them mapped yet."""
    path = tmp_path / "file"
    path.write_bytes(bytes(16 * MIB))
    with path.open("rb") as opened, Region(kind="file", fd=opened.fileno()) as region:
        yield region


@pytest.fixture
def memory() -> Iterator[Region]:
    """Yield 16 MiB of small pages, none of them there yet."""
    with Region(16 * MIB) as region:
        region.advise("nohugepage")
        yield region


def read(view: memoryview, length: int) -> None:
    """Read a byte of each page."""
    for place in range(0, length, PAGE):
        view[place]


def write(view: memoryview, length: int) -> None:
    """Write a byte of each page."""
    for place in range(0, length, PAGE):
        view[place] = 1


def resident(region: Region) -> int:
    """Return the bytes that are in memory, which the kernel finds page by page for proc_pid_smaps(5)."""
    found = re.search(rf"^{region.address:x}-.*?^Rss: +(\d+) kB", Path("/proc/self/smaps").read_text(), re.M | re.S)
    assert found is not None
    return int(found[1]) * 1024


def held_by_threads() -> bool:
    """Tell whether this kernel is one whose threads hold something back."""
    major, minor = platform.release().split(".")[:2]
    return (int(major), int(minor)) < (6, 2)


class TestOneThread:
    """What a process of one thread brings into memory."""

    @pytest.mark.parametrize("length", [PAGE, 7 * 16 * PAGE, 16 * MIB])
    def test_of_a_file(self, file: Region, length: int) -> None:
        """With the pages that the kernel maps around each."""
        self.holds(read, file, length)

    @pytest.mark.parametrize("length", [PAGE, 7 * PAGE, 65 * PAGE, 66 * PAGE, 67 * PAGE, 16 * MIB])
    def test_anonymous(self, memory: Region, length: int) -> None:
        """Page by page."""
        self.holds(write, memory, length)
        assert resident(memory) == length

    def holds(self, act: Callable[[memoryview, int], None], region: Region, length: int) -> None:
        """The figure is right within what it says of itself, and says 0 where one thread is all that there is."""
        interval = Interval()
        with memoryview(region) as view:
            interval.call(act, (view, length))

        expected = resident(region)
        assert expected >= length
        assert abs(interval.retained_rss - expected) <= interval.retained_uncertainty
        low, high = interval.peak_bounds
        assert low <= expected <= high
        if held_by_threads() and threading.active_count() == 1:
            assert interval.retained_uncertainty == 0
            assert high - low <= MOST_HELD


class TestOtherThreads:
    """What others hold back is in the uncertainty."""

    def test_a_file_read_elsewhere(self, file: Region) -> None:
        """A thread that goes on living reads a file, in part by the last faults before the end."""
        begin, done, end = threading.Event(), threading.Event(), threading.Event()

        def act() -> None:
            begin.wait()
            with memoryview(file) as view:
                read(view, 2 * MIB)
            done.set()
            end.wait()

        def wait() -> None:
            begin.set()
            done.wait()

        thread = threading.Thread(target=act)
        thread.start()
        interval = Interval()
        interval.call(wait)
        end.set()
        thread.join()

        expected = resident(file)
        slack = 64 * 1024  # what the threads themselves take
        assert abs(interval.retained_rss - expected) <= interval.retained_uncertainty + slack
        low, high = interval.peak_bounds
        assert low - slack <= expected <= high
        if held_by_threads():
            assert interval.retained_uncertainty == MOST_HELD


def test_error_of_one_counter() -> None:
    """What a single figure of the kernel may lack is nothing where it sums, and else more than nothing."""
    assert batches.counter_error() >= (MOST_HELD if held_by_threads() else 0)
