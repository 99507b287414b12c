"""A stream over a file of 2 GiB within 16 MiB of memory, a tenth of it, and one of 20 GiB. See README.md."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest

from cyx import page_cache, patterns
from cyx.region import Region

MIB = 1024 * 1024
SIZE = int(os.environ.get("SLIDING_WINDOW_MIB", "2048")) * MIB
TENTH = SIZE // 10 // MIB * MIB
SPARSE = int(os.environ.get("SLIDING_WINDOW_SPARSE_MIB", SIZE // MIB)) * MIB
WINDOW = MIB
NEWLINE = ord("\n")
BUDGET = 16 * MIB
LONG_ENOUGH = 64 * MIB  # below, a whole file is hardly more than the budget


class Log(NamedTuple):
    """A file of lines, and how many there are in it."""

    path: Path
    size: int
    lines: int


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Log]]:
    """Write both files, with the same bytes on every machine, and delete them at the end."""
    folder = folder_with_room(tmp_path_factory.getbasetemp())
    with TemporaryDirectory(prefix="sliding_window_", dir=folder) as made:
        yield {name: write(Path(made) / name, size) for name, size in (("tenth", TENTH), ("whole", SIZE))}


def folder_with_room(proposed: Path) -> Path:
    """Return a folder on a disk with room for the files; skip the tests, with the reason, where there is none."""
    chosen = os.environ.get("SLIDING_WINDOW_FOLDER")
    for folder in [Path(chosen)] if chosen else [proposed, Path("/var/tmp")]:
        if os.access(folder, os.W_OK) and page_cache.memory_file_system(folder) is None:
            free = shutil.disk_usage(folder).free
            if free < 1.3 * SIZE:
                pytest.skip(
                    f"{folder} has {free // MIB} MiB left, the files need {(SIZE + TENTH) // MIB}: set "
                    "SLIDING_WINDOW_FOLDER to a larger disk, or SLIDING_WINDOW_MIB to a smaller size"
                )
            return folder
    pytest.skip(
        f"{chosen or proposed} is in memory, or cannot be written: set SLIDING_WINDOW_FOLDER to a folder on a disk"
    )


def write(path: Path, size: int) -> Log:
    """Write lines of differing lengths, a block at a time."""
    block = bytearray(MIB)
    lines = 0
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            patterns.fill(block, start=start)
            lines += block.count(b"\n")
            file.write(block)
    return Log(path, size, lines)


@pytest.fixture
def sparse(logs: dict[str, Log]) -> Iterator[Log]:
    """Make a file that is a hole up to its last byte, an end of line, and takes no room on the disk."""
    path = logs["whole"].path.with_name("sparse")
    try:
        with path.open("wb") as file:
            try:
                file.truncate(SPARSE)
                file.seek(SPARSE - 1)
                file.write(b"\n")
                file.flush()
            except OSError as error:
                pytest.skip(f"{path}: {error.strerror}: set SLIDING_WINDOW_SPARSE_MIB to a smaller size")
        if path.stat().st_blocks * 512 > SPARSE // 2:
            pytest.skip(f"{path.parent} keeps holes as zeros: set SLIDING_WINDOW_FOLDER to another file system")
        yield Log(path, SPARSE, 1)
    finally:
        path.unlink(missing_ok=True)


def windows(file: Region, size: int, ahead: int = 2) -> Iterator[memoryview]:
    """Yield the file in windows of ``size`` bytes, a multiple of the page size; the last one may be shorter.

    The kernel is asked for the windows ``ahead`` before they are needed, and gets back the one that is behind. A window
    that was yielded must not be kept.
    """
    whole = memoryview(file)
    for start in range(0, file.size, size):
        wanted = start + ahead * size
        if start == 0:
            file.advise("willneed", 0, min(wanted + size, file.size))
        elif wanted < file.size:
            file.advise("willneed", wanted, min(size, file.size - wanted))
        yield whole[start : start + size]
        file.advise("dontneed", start, min(size, file.size - start))


def count_lines(file: Region) -> int:
    """Count the lines of a mapped file, a window at a time."""
    return sum(patterns.count(window, NEWLINE).checksum for window in windows(file, WINDOW))


@pytest.mark.parametrize("which", ["tenth", "whole"])
@pytest.mark.memperf(max_peak_rss=BUDGET, max_retained_rss=BUDGET)
def test_stream(memperf: Any, mapped_file: Any, logs: dict[str, Log], which: str) -> None:
    """The budget is the same for the file that is ten times as large."""
    log = logs[which]
    file = mapped_file(log.path, cache="as-is", advice="sequential")
    assert memperf(count_lines, file) == log.lines


@pytest.mark.memperf(max_peak_rss=BUDGET, max_retained_rss=BUDGET)
def test_stream_of_a_sparse_file(memperf: Any, mapped_file: Any, sparse: Log) -> None:
    """The same for a file as large as one likes: of 20 GiB with SLIDING_WINDOW_SPARSE_MIB=20480."""
    file = mapped_file(sparse.path, cache="as-is", advice="sequential")
    assert memperf(count_lines, file) == sparse.lines


def test_peak_is_constant(memperf: Any, logs: dict[str, Log]) -> None:
    """The statement about every size: the peak is O(1)."""

    def stream(size: int) -> None:
        with (
            logs["whole"].path.open("rb") as file,
            Region(size, kind="file", fd=file.fileno(), writable=False) as region,
        ):
            count_lines(region)

    found = memperf.scaling(stream, over={"size": [SIZE // 16, SIZE // 4, SIZE]}, peak_rss="O(1)")
    assert max(reading.value for reading in found["peak_rss"].readings) <= BUDGET


def test_footprint_does_not_grow(memperf: Any, mapped_file: Any, logs: dict[str, Log]) -> None:
    """Side by side: ten times the bytes, not a window more of memory."""
    peaks = {}
    for name, log in logs.items():
        file = mapped_file(log.path, cache="as-is", advice="sequential")
        with memperf.window(name, max_peak_rss=BUDGET) as window:
            count_lines(file)
        peaks[name] = window.peak_rss

    assert abs(peaks["whole"] - peaks["tenth"]) <= 2 * WINDOW


@pytest.mark.skipif(SIZE < LONG_ENOUGH, reason="SLIDING_WINDOW_MIB is too small for the difference to show")
@pytest.mark.memperf(min_peak_rss=SIZE - 8 * MIB)
def test_without_giving_back(memperf: Any, mapped_file: Any, logs: dict[str, Log]) -> None:
    """What the windows are for: the same pass over the plain mapping has the whole file in memory at its end."""
    file = mapped_file(logs["whole"].path, cache="as-is", advice="sequential")
    transfer = memperf(patterns.touch, file, 4096)
    assert transfer.accesses == SIZE // 4096
