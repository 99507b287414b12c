"""A database's buffer pool on huge pages of one node: four threads, keys by Zipf's law. See README.md."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MIB = 1024 * 1024
PAGE = 8 * 1024  # bytes of a page of the database
FILE = int(os.environ.get("BUFFER_POOL_MIB", "64")) * MIB
POOL = FILE // 8
THREADS = 4
UPDATES = int(os.environ.get("BUFFER_POOL_UPDATES", "10000"))  # of each thread
SKEW = 0.99


class Frame:
    """The place of one page in the pool."""

    def __init__(self, memory: memoryview) -> None:
        self.memory = memory
        self.page: int | None = None
        self.pins = 0
        self.used = False
        self.dirty = False
        self.latch = threading.Lock()
        """Held by whoever changes the contents."""


class BufferPool:
    """Pages of a file in memory, as many as there is room for; the clock algorithm chooses which one makes room."""

    def __init__(self, fd: int, memory: Any) -> None:
        view = memoryview(memory)
        self._fd = fd
        self._frames = [Frame(view[start : start + PAGE]) for start in range(0, len(view), PAGE)]
        self._by_page: dict[int, Frame] = {}
        self._hand = 0
        self._lock = threading.Lock()
        self.hits = 0
        self.misses = 0

    @contextmanager
    def page(self, number: int) -> Iterator[Frame]:
        """Have the page in memory; it stays as long as the with block lasts."""
        with self._lock:
            frame = self._by_page.get(number)
            if frame is None:
                self.misses += 1
                frame = self._load(number)
            else:
                self.hits += 1
            frame.pins += 1
            frame.used = True
        try:
            yield frame
        finally:
            with self._lock:
                frame.pins -= 1

    def flush(self) -> None:
        """Write every page that was changed."""
        with self._lock:
            for frame in self._frames:
                self._write_back(frame)

    def _load(self, number: int) -> Frame:
        frame = self._victim()
        self._write_back(frame)
        if frame.page is not None:
            del self._by_page[frame.page]
        os.preadv(self._fd, [frame.memory], number * PAGE)
        frame.page = number
        self._by_page[number] = frame
        return frame

    def _victim(self) -> Frame:
        """Return the first frame from the hand on that nobody holds and nobody has used since the hand was there."""
        for _ in range(2 * len(self._frames)):
            frame = self._frames[self._hand]
            self._hand = (self._hand + 1) % len(self._frames)
            if frame.pins == 0 and not frame.used:
                return frame
            if frame.pins == 0:
                frame.used = False
        raise RuntimeError("every page of the pool is held")

    def _write_back(self, frame: Frame) -> None:
        if frame.dirty and frame.page is not None:
            os.pwrite(self._fd, frame.memory, frame.page * PAGE)
            frame.dirty = False


def keys(seed: int) -> list[int]:
    """Return the pages that a thread updates: few of them often, most of them hardly ever."""
    pages = FILE // PAGE
    weights = 1 / np.arange(1, pages + 1) ** SKEW
    chosen = np.random.default_rng(seed)
    spread = np.random.default_rng(0).permutation(pages)  # the popular ones are not neighbours
    return [int(spread[rank]) for rank in chosen.choice(pages, UPDATES, p=weights / weights.sum())]


def update(pool: BufferPool, numbers: list[int]) -> None:
    """Add 1 to the counter at the beginning of each page."""
    for number in numbers:
        with pool.page(number) as frame, frame.latch:
            count = int.from_bytes(frame.memory[:8], "little")
            frame.memory[:8] = (count + 1).to_bytes(8, "little")
            frame.dirty = True


@pytest.mark.parametrize("kind", ["none", "thp", "hugetlb"])
@pytest.mark.memperf(max_major_faults=64)
def test_updates(memperf: Any, numa_buffer: Any, tmp_path: Path, kind: str) -> None:
    """Every update arrives, the pool stays on its node, and the work takes no memory beyond the pool."""
    memory = numa_buffer(POOL, policy="bind", nodes=[0], kind=kind)
    path = tmp_path / "database"
    path.touch()
    os.truncate(path, FILE)
    work = [keys(seed) for seed in range(THREADS)]
    fd = os.open(path, os.O_RDWR)
    try:
        pool = BufferPool(fd, memory)
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(lambda _: None, range(THREADS)))
            with memperf.window("updates", max_retained_rss="2 MiB", max_peak_rss="4 MiB"):
                list(threads.map(lambda numbers: update(pool, numbers), work))
        pool.flush()
        written = Counter(
            {number: int.from_bytes(os.pread(fd, 8, number * PAGE), "little") for number in range(FILE // PAGE)}
        )
    finally:
        os.close(fd)

    assert +written == sum((Counter(numbers) for numbers in work), Counter())
    assert memory.node_fractions[0] == 1.0
    assert memory.huge_coverage == (0.0 if kind == "none" else 1.0)
    memperf.record("hit_rate", pool.hits / (pool.hits + pool.misses), unit="share", better="higher", min="40%")
