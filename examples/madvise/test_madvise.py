"""What advice to the kernel does: to a pass in order, to accesses at random, and to memory that is given back.

The budgets are counts and sizes, no times. See README.md.
"""

from __future__ import annotations

import mmap
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from cyx import page_cache, patterns
from cyx.region import Region

MIB = 1024 * 1024
PAGE = mmap.PAGESIZE
SIZE = int(os.environ.get("MADVISE_MIB", "256")) * MIB
GIVEN_BACK = 128 * MIB
CHUNK = 64 * 1024
AHEAD = 16  # chunks or pages that are asked for before they are needed
ACCESSES = 50_000 * (SIZE // MIB) // 256
FEW = 64  # faults of a call that maps nothing
HEAP = 2 * MIB


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write a file on a disk, with the same bytes on every machine, and delete it at the end."""
    chosen = os.environ.get("MADVISE_FOLDER")
    for folder in [Path(chosen)] if chosen else [tmp_path_factory.getbasetemp(), Path("/var/tmp")]:
        on_disk = os.access(folder, os.W_OK) and page_cache.memory_file_system(folder) is None
        if on_disk and shutil.disk_usage(folder).free > 1.1 * SIZE:
            break
    else:
        pytest.skip(f"no disk with room for {SIZE // MIB} MiB: set MADVISE_FOLDER to a folder on one, or MADVISE_MIB")
    content = np.empty(SIZE, np.uint8)
    patterns.fill(content)
    with TemporaryDirectory(prefix="madvise_", dir=folder) as made:
        path = Path(made) / "data"
        content.tofile(path)
        yield path


@pytest.fixture(scope="session")
def places() -> list[int]:
    """Offsets of pages at random, some more than once."""
    chosen = random.Random(42)
    return [chosen.randrange(SIZE // PAGE) * PAGE for _ in range(ACCESSES)]


def in_chunks(file: Region) -> int:
    """Sum a byte of every page, chunk by chunk: those ahead are asked for, the one behind is given back."""
    total = 0
    for start in range(0, file.size, CHUNK):
        if start + AHEAD * CHUNK < file.size:
            file.advise("willneed", start + AHEAD * CHUNK, CHUNK)
        total += patterns.touch(file, PAGE, offset=start, length=CHUNK).checksum
        file.advise("dontneed", start, CHUNK)
    return total


@pytest.mark.memperf(
    bytes=SIZE,
    max_peak_rss=HEAP + AHEAD * CHUNK,
    max_retained_rss=HEAP,
    max_major_faults=SIZE // CHUNK,
    max_block_read_bytes=SIZE + SIZE // 20,
    min_block_read_bytes=SIZE - SIZE // 20,
)
def test_in_order(memperf: Any, mapped_file: Any, data: Path) -> None:
    """A cold file of any size, once from the disk, with a few chunks of it in memory."""
    file = mapped_file(data, cache="cold", advice="sequential")
    total = memperf(in_chunks, file)
    assert total == patterns.touch(file, PAGE).checksum


def at_places(file: Region, places: Sequence[int], *, ask: bool) -> int:
    """Sum the bytes at the places; ``ask`` for each page some accesses before it is needed."""
    content = memoryview(file)
    total = 0
    for number, place in enumerate(places):
        if ask and number + AHEAD < len(places):
            file.advise("willneed", places[number + AHEAD], PAGE)
        total += content[place]
    return total


@pytest.mark.skipif(not os.access("/proc/self/io", os.R_OK), reason="this kernel does not count reads (/proc/self/io)")
def test_at_random(memperf: Any, mapped_file: Any, data: Path, places: list[int]) -> None:
    """Told that accesses are random, the kernel reads the pages that are touched and no others."""
    distinct = len(set(places)) * PAGE
    totals = {}
    read, waits = {}, {}
    for advice, ask in (("normal", False), ("random", False), ("random", True)):
        name = f"{advice}, asked for" if ask else advice
        file = mapped_file(data, cache="cold", advice=advice)
        with memperf.window(name, metrics=["block_read_bytes"]) as window:
            totals[name] = at_places(file, places, ask=ask)
        read[name], waits[name] = window.block_read_bytes, window.major_faults
        file.close()

    assert len(set(totals.values())) == 1
    assert read["random"] <= distinct * 1.05 + MIB
    assert read["normal"] > 1.3 * read["random"]
    assert waits["random"] > 0.9 * distinct / PAGE
    assert waits["random, asked for"] < 0.2 * waits["random"]


def test_given_back(memperf: Any) -> None:
    """DONTNEED gives 128 MiB back at once; whoever wants them again pays a fault for each page."""
    pages = GIVEN_BACK // PAGE
    with Region(GIVEN_BACK) as memory:
        memory.advise("nohugepage")
        patterns.write(memory, 1)
        with memperf.window("give back", max_minor_faults=FEW) as giving:
            memory.advise("dontneed")
        with memperf.window("touch again", min_minor_faults=pages, max_minor_faults=pages + FEW) as again:
            patterns.touch_write(memory, PAGE)

    assert giving.retained_rss <= -GIVEN_BACK + HEAP
    assert again.retained_rss >= GIVEN_BACK - HEAP
