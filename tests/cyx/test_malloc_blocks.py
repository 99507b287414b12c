"""Blocks of malloc are counted and told by size; ctypes asks for them as any library would."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cyx import malloc_blocks
from pytest_memperf.environment.process import serving
from pytest_memperf.malloc import MALLOCS
from pytest_memperf.malloc.preload import environment_under, lack

PROGRAM = """
import ctypes
from cyx import malloc_blocks
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
"""


def run(text: str, **environment: str) -> list[str]:
    """Run the program in an interpreter of its own; return the words that it prints."""
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM + text], check=True, capture_output=True, text=True, env=os.environ | environment
    )
    return told.stdout.split()


@pytest.fixture
def glibc() -> None:
    """Skip where nothing can be counted."""
    if malloc_blocks.count() < 0:
        pytest.skip(f"malloc is served by {serving()}: run under glibc 2.33 or newer")


@pytest.mark.usefixtures("glibc")
@pytest.mark.parametrize("tunables", ["", "glibc.malloc.tcache_count=0", "glibc.malloc.mmap_threshold=4096"])
def test_blocks_are_counted(tunables: str) -> None:
    """As many more as were asked for, small, large and mapped ones, and none after they are freed."""
    before, more, freed = run(
        """
sizes = [16, 100, 3000, 70_000, 1 << 20] * 100
blocks = [0] * len(sizes)
before = malloc_blocks.count()
for i, size in enumerate(sizes):
    blocks[i] = libc.malloc(size)
more = malloc_blocks.count()
for block in blocks:
    libc.free(block)
print(before, more, malloc_blocks.count())
""",
        GLIBC_TUNABLES=tunables,
    )
    # The caches of the thread hold up to 7 of each size, and Python itself asks for some.
    assert int(more) - int(before) == pytest.approx(500, abs=80)
    assert int(freed) - int(before) == pytest.approx(0, abs=80)


@pytest.mark.usefixtures("glibc")
def test_sizes_are_told() -> None:
    """A block has 8 bytes more, rounded up to 16; all from 16 KiB on are one class; their sum is the count."""
    small, middle, large, whole, count = run(
        """
before = malloc_blocks.by_size()
for _ in range(1000):
    libc.malloc(200), libc.malloc(5000), libc.malloc(20_000)
after = malloc_blocks.by_size()
print(*(after[size] - before.get(size, 0) for size in (208, 5008, 16384)), sum(after.values()), malloc_blocks.count())
"""
    )
    assert [int(small), int(middle), int(large)] == pytest.approx([1000] * 3, abs=20)
    assert int(whole) == pytest.approx(int(count), abs=200)


@pytest.mark.usefixtures("glibc")
def test_bytes_are_told() -> None:
    """What was asked for, and the headers."""
    (more,) = run("before = malloc_blocks.allocated(); libc.malloc(10**6); print(malloc_blocks.allocated() - before)")
    assert 10**6 <= int(more) < 10**6 + 8192


@pytest.mark.usefixtures("glibc")
def test_counting_keeps_nothing() -> None:
    """10,000 readings and 100 walks leave no block of Python's or malloc's but what any first call does."""
    more, python = run(
        """
import sys
malloc_blocks.allocated()
before, python = malloc_blocks.count(), sys.getallocatedblocks()
for _ in range(10_000):
    malloc_blocks.allocated()
for _ in range(100):
    malloc_blocks.count()
print(malloc_blocks.count() - before, sys.getallocatedblocks() - python)
"""
    )
    assert max(abs(int(more)), abs(int(python))) <= 3


@pytest.mark.parametrize("name", ["jemalloc", "tcmalloc", "mimalloc"])
def test_another_malloc_is_not_guessed_at(name: str) -> None:
    """Neither a number nor a size of a heap that is not glibc's."""
    malloc = MALLOCS[name]
    lacking = lack(malloc)
    if lacking:
        pytest.skip(lacking)
    told = run(
        "print(malloc_blocks.count(), malloc_blocks.allocated(), len(malloc_blocks.by_size()))",
        **environment_under(malloc, {}),
    )
    assert told == ["-1", "-1", "0"]
