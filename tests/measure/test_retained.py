"""Readings between calls leave nothing behind, and see what is kept; each in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cyx import malloc_blocks

PROGRAM = """
import ctypes, mmap, os, resource, sys, threading
from array import array
from pytest_memperf.measure import repetition, retained
from pytest_memperf.measure.leak import parse_limits
from pytest_memperf.measure.retained import *

def find(call, seconds=20.0, **limits):
    return repetition.find_leak(call, parse_limits(limits), seconds)
"""


def run(text: str, **environment: str) -> list[str]:
    """Run the program; return the words that it prints."""
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM + text], check=True, capture_output=True, text=True, env=os.environ | environment
    )
    return told.stdout.split()


def test_reading_keeps_nothing() -> None:
    """After 100 of them there are as many blocks, objects, files and threads as before, and as much of the heap."""
    told = run(
        """
reader = Retained()
before = array("q", reader.values)
reader.read()
before[:] = reader.values
for _ in range(100):
    reader.read()
print(*(reader.values[i] - before[i] for i in (BLOCKS, OBJECTS, CONTAINERS, FILES, THREADS, HEAP)))
"""
    )
    assert [abs(int(each)) <= 2 for each in told] == [True] * 6  # the loop itself is an object or two


def test_each_witness_sees_its_own() -> None:
    """What is kept shows in the figure that it belongs to, by as much as it is."""
    told = run(
        """
reader = Retained()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
before = list(reader.values)
kept = [[] for _ in range(1000)], os.dup(0), mmap.mmap(-1, 1 << 22)
kept[2][:: mmap.PAGESIZE] = b"1" * (len(kept[2]) // mmap.PAGESIZE)
for _ in range(1000):
    libc.malloc(1000)
thread = threading.Thread(target=threading.Event().wait, daemon=True)
thread.start()
reader.read()
print(*(reader.values[i] - before[i] for i in (RESIDENT, MAPPED, HEAP, OBJECTS, CONTAINERS, FILES, THREADS)))
"""
    )
    resident, mapped, heap, objects, containers, files, threads = map(int, told)
    assert resident == pytest.approx(5 << 20, rel=0.1)
    assert mapped >= 5 << 20
    assert heap == pytest.approx(1_016_000, rel=0.05)
    assert 1000 <= objects < 1100
    assert 1000 <= containers < 1050
    assert (files, threads) == (1, 1)


def test_sizes_of_pythons_blocks() -> None:
    """A thousand objects of 16 bytes are a thousand blocks of that size; standard error stays as it was."""
    more, open_files = run(
        """
first = size_classes()
before = size_classes()
files = len(os.listdir("/proc/self/fd"))
kept = [object() for _ in range(1000)]
after = size_classes()
name = f"Python's blocks of {sys.getsizeof(kept[0])} B"
print(after[name] - 2 * before[name] + first[name], len(os.listdir("/proc/self/fd")) - files)
""",
        PYTHONMALLOC="pymalloc",
    )
    assert int(more) == pytest.approx(1000, abs=30)
    assert open_files == "0"


def test_few_descriptors() -> None:
    """No more are taken than half of what the limit leaves, and the leak is certain by then."""
    told = run(
        """
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
leak = find(lambda: os.dup(0), max_open_files=0)
print(leak.calls < 160, bool(leak.cut_short), *leak.wrong({"open_files": 0}))
"""
    )
    assert told[:8] == ["True", "True", "open_files", "grows", "by", "1", "per", "call"]


def test_large_blocks() -> None:
    """What would fill the machine is stopped; 20 MiB per call are certain after a dozen calls."""
    told = run(
        """
kept = []
leak = find(lambda: kept.append(bytearray(b"1") * (20 << 20)), max_retained_rss=0)
print(leak.calls <= 20, sum(map(len, kept)) <= 400 << 20, *leak.wrong({"retained_rss": 0}))
"""
    )
    assert told[:3] == ["True", "True", "retained_rss"]


def test_the_time_is_kept() -> None:
    """A slow call is left when it is over, with nothing certain."""
    told = run(
        """
import time
leak = find(lambda: time.sleep(0.05), 0.5)
print(leak.seconds < 2, leak.wrong(parse_limits({})), len(leak.unchecked(parse_limits({}))))
"""
    )
    assert told[:2] == ["True", "[]"]
    assert int(told[2]) >= 4


@pytest.mark.skipif(malloc_blocks.count() < 0, reason="malloc's blocks are glibc's: run under 2.33 or newer")
def test_without_pymalloc() -> None:
    """Under PYTHONMALLOC=malloc every block is one of malloc's, and all of them are seen."""
    told = run(
        """
kept = []
leak = find(lambda: kept.append(object()))
print(leak.reason("live_blocks") or "readable", *leak.wrong({"live_blocks": 0}))
""",
        PYTHONMALLOC="malloc",
    )
    assert told[:7] == ["readable", "live_blocks", "grows", "by", "1", "per", "call"]
