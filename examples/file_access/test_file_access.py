"""Ways to go through one file, cold and warm: what each costs in faults, in memory and in reads from the disk.

The budgets say what holds on every Linux machine: counts and shares, no times. See README.md.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pytest

from cyx import page_cache, patterns
from pytest_memperf import MemoryBudgetExceeded

MIB = 1024 * 1024
SIZE = int(os.environ.get("FILE_ACCESS_MIB", "256")) * MIB
BLOCK = 64 * 1024  # bytes of a read(), and of what the kernel maps round a fault in a file that is cached
STRIDE = 1024  # bytes from one access to the next
ACCESSES = 100_000  # at random
SEED = 42

# Pages of a warm file that the kernel took back before they were read: 0, but where it is short of memory or reclaims
# proactively (DAMON, in many virtual machines).
FEW = SIZE // BLOCK // 20 + 8
FAULTS = 64  # of a call that maps nothing: the first touch of a buffer, of some code, of the stack
HEAP = 2 * MIB

cold_and_warm = pytest.mark.parametrize("cache", ["cold", "warm"])


class DataFile(NamedTuple):
    """A file, and the answers that every way through it must give."""

    path: Path
    in_order: int
    """The sum of the bytes at each multiple of the stride."""
    at_random: int
    """The sum of the bytes at the random offsets."""


@pytest.fixture(scope="session")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataFile]:
    """Write the file once, with the same bytes on every machine, and delete it at the end."""
    folder = folder_on_a_disk(tmp_path_factory.getbasetemp())
    content = np.empty(SIZE, np.uint8)
    patterns.fill(content)
    with TemporaryDirectory(prefix="file_access_", dir=folder) as made:
        path = Path(made) / "data"
        content.tofile(path)
        yield DataFile(
            path,
            in_order=int(content[::STRIDE].sum(dtype=np.uint64)),
            at_random=patterns.touch_random(content, ACCESSES, SEED).checksum,
        )


def folder_on_a_disk(proposed: Path) -> Path:
    """Return a folder where a file can be cold and has room; skip the tests, with the reason, where there is none."""
    chosen = os.environ.get("FILE_ACCESS_FOLDER")
    for folder in [Path(chosen)] if chosen else [proposed, Path("/var/tmp")]:
        if os.access(folder, os.W_OK) and page_cache.memory_file_system(folder) is None:
            free = shutil.disk_usage(folder).free
            if free < 1.1 * SIZE:
                pytest.skip(
                    f"{folder} has {free // MIB} MiB left, the file needs {SIZE // MIB}: set FILE_ACCESS_FOLDER to a "
                    "larger disk, or FILE_ACCESS_MIB to a smaller size"
                )
            return folder
    pytest.skip(
        f"{chosen or proposed} is in memory, where no file is ever cold, or cannot be written: set FILE_ACCESS_FOLDER "
        "to a folder on a disk"
    )


@pytest.mark.memperf(
    bytes=SIZE,
    max_minor_faults=FAULTS,  # one buffer, used again and again
    max_major_faults=FEW,  # the disk is waited for in read(), not in a fault
    max_peak_rss=HEAP,
    max_block_read_bytes={"cold": SIZE + SIZE // 20, "warm": SIZE // 20},
    min_block_read_bytes={"cold": SIZE - SIZE // 20, "warm": None},
    min_bandwidth_share={"cold": None, "warm": "1%"},
)
@cold_and_warm
def test_read_in_blocks(memperf: Any, mapped_file: Any, data_file: DataFile, cache: str) -> None:
    """``read()`` of 64 KiB at a time copies the file through one buffer: no faults, no memory, whatever the size."""
    mapped_file(data_file.path, cache=cache)
    with open(data_file.path, "rb") as file:
        transfer = memperf(patterns.read_blocks, file, BLOCK, STRIDE)

    assert transfer.checksum == data_file.in_order
    assert transfer.bytes == SIZE


@pytest.mark.memperf(
    bytes=SIZE,
    max_minor_faults=2 * SIZE // BLOCK + FAULTS,  # a fault maps the cached pages round it as well
    max_major_faults={"cold": SIZE // BLOCK, "warm": FEW},
    min_major_faults={"cold": 1, "warm": None},
    max_peak_rss=SIZE + HEAP,
    min_peak_rss=SIZE - HEAP,  # every page of the file counts as resident while it is mapped
    max_block_read_bytes={"cold": SIZE + SIZE // 20, "warm": SIZE // 20},
    min_block_read_bytes={"cold": SIZE - SIZE // 20, "warm": None},
    min_bandwidth_share={"cold": None, "warm": "1%"},
)
@cold_and_warm
def test_map_and_touch(memperf: Any, mapped_file: Any, data_file: DataFile, cache: str) -> None:
    """A mapping that is touched every 1 KiB copies nothing; it takes a fault for each stretch of pages instead."""
    file = mapped_file(data_file.path, cache=cache, advice="sequential")
    transfer = memperf(patterns.touch, file, STRIDE)

    assert transfer.checksum == data_file.in_order


@pytest.mark.memperf(
    max_minor_faults=2 * SIZE // BLOCK + FAULTS,
    max_major_faults={"cold": ACCESSES, "warm": FEW},
    min_major_faults={"cold": 1, "warm": None},
    max_peak_rss=SIZE + HEAP,
    max_block_read_bytes={"cold": 2 * SIZE, "warm": SIZE // 20},
)
@cold_and_warm
def test_map_and_touch_at_random(memperf: Any, mapped_file: Any, data_file: DataFile, cache: str) -> None:
    """100,000 accesses at random offsets of a mapping."""
    file = mapped_file(data_file.path, cache=cache)
    transfer = memperf(patterns.touch_random, file, ACCESSES, SEED)

    assert transfer.checksum == data_file.at_random
    assert transfer.accesses == ACCESSES


@pytest.mark.memperf(
    max_minor_faults=FAULTS,
    max_major_faults=FEW,
    max_peak_rss=HEAP,
    max_block_read_bytes={"cold": 2 * SIZE, "warm": SIZE // 20},
)
@cold_and_warm
def test_read_at_random(memperf: Any, mapped_file: Any, data_file: DataFile, cache: str) -> None:
    """The same 100,000 offsets, a ``pread()`` of one byte each."""
    mapped_file(data_file.path, cache=cache)
    with open(data_file.path, "rb") as file:
        transfer = memperf(patterns.touch_random, file, ACCESSES, SEED)

    assert transfer.checksum == data_file.at_random


@pytest.mark.xfail(raises=MemoryBudgetExceeded, strict=True, reason="the whole file at once is over its budget")
@pytest.mark.memperf(max_peak_rss=SIZE // 2)
def test_read_at_once(mapped_file: Any, data_file: DataFile) -> None:
    """A budget that is not kept: the file as one object needs memory for all of it."""
    mapped_file(data_file.path, cache="warm")
    assert sum(data_file.path.read_bytes()[::STRIDE]) == data_file.in_order


def test_mapping_moves_less(memperf: Any, mapped_file: Any, data_file: DataFile) -> None:
    """Side by side in one test: the copy takes hardly a fault and no memory, the mapping takes both."""
    file = mapped_file(data_file.path, cache="warm")
    with open(data_file.path, "rb") as opened, memperf.window("read", bytes=SIZE) as read:
        patterns.read_blocks(opened, BLOCK, STRIDE)
    with memperf.window("map", bytes=SIZE) as mapping:
        patterns.touch(file, STRIDE)

    assert read.minor_faults * 10 < mapping.minor_faults
    assert read.peak_rss * 10 < mapping.peak_rss
