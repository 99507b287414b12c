"""What the windows read against independent witnesses, over 20 workloads; and known work, read exactly.

Witnesses: a perf counter round the same call in the same process for faults (pagemap where the kernel takes them for
itself), the known pattern for peaks, GNU time for the totals of a whole process.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cyx.patterns import fill, read_blocks, scan
from cyx.probes import Interval
from cyx.probes.batches import batch_size
from cyx.probes.perf import FaultCounter, unavailable

PAGE = mmap.PAGESIZE
MIB = 1 << 20
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
POPULATE = 0x8000
FILE = Path("oracle-file")  # in the temporary folder that the tests run in


def anonymous(size: int, flags: int = PRIVATE) -> mmap.mmap:
    """Return anonymous memory of small pages."""
    memory = mmap.mmap(-1, size, flags=flags)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return memory


def block(size: int, flags: int = PRIVATE) -> None:
    """Map, write, unmap."""
    with anonymous(size, flags) as memory:
        fill(memory)


def stairs(size: int) -> None:
    """Three blocks at once, given back one by one."""
    blocks = [anonymous(size) for _ in range(3)]
    for each in blocks:
        fill(each)
    for each in blocks:
        each.close()


def sequence(size: int) -> None:
    """Three blocks after each other: the peak is one of them."""
    for _ in range(3):
        block(size)


def thrown_away(size: int) -> None:
    """Written, dropped by madvise, written again."""
    with anonymous(size) as memory:
        for _ in range(2):
            fill(memory)
            memory.madvise(mmap.MADV_DONTNEED)


def threads(size: int, count: int = 2) -> None:
    """Threads write blocks of their own, at once."""
    barrier = threading.Barrier(count)

    def work() -> None:
        with anonymous(size) as memory:
            barrier.wait()
            fill(memory)
            barrier.wait()

    workers = [threading.Thread(target=work) for _ in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def file_mapped(size: int) -> None:
    """A file is mapped and read."""
    with open(FILE, "rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as memory:
        scan(memory)


def file_copied(size: int) -> None:
    """A file is mapped privately and written: copies of its pages."""
    with open(FILE, "rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as memory:
        fill(memory)


def file_read(size: int) -> None:
    """A file is read in blocks into one buffer."""
    with open(FILE, "rb") as file:
        read_blocks(file)


def numbers(size: int) -> None:
    """Python objects."""
    sum([number * 7 for number in range(size // 40)])


def text(size: int) -> None:
    """A string that grows, and JSON of it."""
    json.loads(json.dumps(["x" * 100] * (size // 200)))


def numpy_sum(size: int) -> None:
    """An array and a temporary."""
    import numpy

    (numpy.ones(size // 8) + 1).sum()


@dataclass(frozen=True)
class Workload:
    """A call, its peak where its pattern tells it, and how many pages the interpreter may add to that."""

    name: str
    function: Callable[..., None]
    size: int
    peak: int | None = None


WORKLOADS = (
    Workload("64 KiB block", block, MIB // 16, MIB // 16),
    Workload("1 MiB block", block, MIB, MIB),
    Workload("16 MiB block", block, 16 * MIB, 16 * MIB),
    Workload("128 MiB block", block, 128 * MIB, 128 * MIB),
    Workload("1 MiB shared", lambda size: block(size, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS), MIB, MIB),
    Workload("64 MiB shared", lambda size: block(size, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS), 64 * MIB, 64 * MIB),
    Workload("stairs of 1 MiB", stairs, MIB, 3 * MIB),
    Workload("stairs of 16 MiB", stairs, 16 * MIB, 48 * MIB),
    Workload("sequence of 1 MiB", sequence, MIB, MIB),
    Workload("sequence of 32 MiB", sequence, 32 * MIB, 32 * MIB),
    Workload("dropped and written again", thrown_away, 8 * MIB, 8 * MIB),
    Workload("2 threads of 8 MiB", threads, 8 * MIB, 16 * MIB),
    Workload("2 threads of 1 MiB", threads, MIB, 2 * MIB),
    Workload("4 MiB file mapped", file_mapped, 4 * MIB, 4 * MIB),
    Workload("32 MiB file mapped", file_mapped, 32 * MIB, 32 * MIB),
    Workload("8 MiB file copied on write", file_copied, 8 * MIB, 8 * MIB),
    Workload("file read in blocks", file_read, 32 * MIB),
    Workload("Python numbers", numbers, 8 * MIB),
    Workload("JSON", text, 4 * MIB),
    Workload("NumPy", numpy_sum, 8 * MIB),
)


@pytest.fixture(scope="module", autouse=True)
def big_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A file of 32 MiB in the page cache."""
    file = tmp_path_factory.getbasetemp() / FILE
    file.write_bytes(os.urandom(32 * MIB))
    yield
    file.unlink()


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_faults_and_peaks(workload: Workload, capsys: pytest.CaptureFixture[str]) -> None:
    """Faults equal perf's round the same call; the peak lies round that of the pattern."""
    if reason := unavailable():
        pytest.skip(reason)
    for _ in range(3):
        workload.function(workload.size)
    counter, interval = FaultCounter(), Interval()
    interval.start()
    counter.start()
    workload.function(workload.size)
    counter.stop()
    interval.stop()
    low, high = interval.peak_bounds
    with capsys.disabled():
        print(
            f"\n  {workload.name:28} faults {interval.minor_faults:7,} perf {counter.minor_faults:7,}"
            f"   peak {low / MIB:8.2f} to {high / MIB:8.2f} MiB, known {(workload.peak or 0) / MIB:6.2f}",
            end="",
        )
    assert (interval.minor_faults, interval.major_faults) == (counter.minor_faults, counter.major_faults)
    if workload.peak is not None:
        others = 32 * PAGE  # what the interpreter, thread stacks and arenas may add
        assert high >= workload.peak
        assert low <= workload.peak + others


def test_populated_memory_against_pagemap() -> None:
    """The faults that the kernel takes for MAP_POPULATE are in getrusage, not in perf; pagemap shows the pages."""
    made: list[mmap.mmap] = []
    size = 1000 * PAGE

    def populate() -> None:
        made.append(mmap.mmap(-1, size, flags=PRIVATE | POPULATE))

    populate()
    interval = Interval()
    interval.call(populate)
    address = ctypes.addressof(ctypes.c_char.from_buffer(made[-1]))
    with open("/proc/self/pagemap", "rb") as pagemap:
        pagemap.seek(address // PAGE * 8)
        entries = memoryview(pagemap.read(8 * (size // PAGE))).cast("Q")
    present = sum(entry >> 63 for entry in entries)
    assert interval.minor_faults == present == 1000


@pytest.mark.parametrize("pages", [1, 7, 1000, 65536])
def test_known_work_is_read_exactly(pages: int) -> None:
    """N pages written by one thread are N faults, each time."""
    for _ in range(20 if pages < 65536 else 3):
        memory = anonymous(pages * PAGE)
        interval = Interval()
        interval.call(fill, (memory,))
        memory.close()
        assert interval.minor_faults == pages


@pytest.mark.parametrize("mib", [1, 2, 8, 32, 128, 256])
def test_working_set_of_hot_memory(mib: int, capsys: pytest.CaptureFixture[str]) -> None:
    """1 to 256 MiB, hot before the window, within 1 % and 128 KiB."""
    memory = anonymous(mib * MIB)
    fill(memory)
    worst = 0.0
    for _ in range(10):
        scan(memory)
        interval = Interval()
        interval.track_accessed = True
        interval.call(scan, (memory,))
        low, high, _, idle = interval.accessed or (0, 0, 0, 0)
        worst = max(worst, abs((low + high) / 2 - idle - mib * MIB), key=abs)
    with capsys.disabled():
        print(f"\n  working set of {mib} MiB: off by at most {worst / 1024:.0f} KiB in 10", end="")
    assert worst <= mib * MIB / 100 + 128 * 1024


def test_empty_windows(capsys: pytest.CaptureFixture[str]) -> None:
    """0 faults, 0 B retained and a peak of 0 in each of 10,000."""
    spoilt = 0
    begin = time.perf_counter()
    for _ in range(10_000):
        interval = Interval()
        interval.call(int)
        spoilt += (interval.minor_faults, interval.retained_rss, interval.peak_bounds) != (0, 0, (0, 0))
    seconds = time.perf_counter() - begin
    with capsys.disabled():
        print(f"\n  empty windows that are not 0: {spoilt} of 10,000, {seconds * 100:.1f} us each", end="")
    assert spoilt == 0


@pytest.mark.skipif(not shutil.which("time"), reason="GNU time is not installed (Debian: apt-get install time)")
@pytest.mark.parametrize("mib", [50, 200])
def test_totals_equal_gnu_time(mib: int, capsys: pytest.CaptureFixture[str]) -> None:
    """The peak total equals what GNU time says of the same process without a window, whose resets would hide it.

    ru_maxrss lacks what the CPUs hold back, and two processes differ by some pages of their start.
    """
    script = f"""
import mmap, sys
from cyx.patterns import fill
from cyx.probes import Interval
from cyx.probes.interval import prepare
interval = Interval()
prepare()
def work():
    with mmap.mmap(-1, {mib} << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        fill(memory)
if len(sys.argv) > 1:
    work()
else:
    interval.call(work)
    print(*(interval.resident_at_start + bound for bound in interval.peak_bounds))
"""
    command = [sys.executable, "-c", script]
    low, high = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    command = [shutil.which("time") or "time", "-v", *command, "without"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    match = re.search(r"Maximum resident set size \(kbytes\): (\d+)", done.stderr)
    assert match
    maximum = int(match[1]) * 1024
    pending = (batch_size() - 1) * 3 * (os.cpu_count() or 1) * PAGE + 64 * PAGE
    with capsys.disabled():
        print(f"\n  GNU time {maximum / MIB:.2f} MiB, the window {low / MIB:.2f} to {high / MIB:.2f} MiB", end="")
    assert low - pending <= maximum <= high + pending
