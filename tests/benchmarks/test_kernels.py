"""The access patterns against the same loops in plain C, compiled in the run and taken in turns with them.

A ratio above 1 is what the kernel takes more. The smallest of many short passes is compared on both sides: what a busy
neighbour adds, it adds to the others.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cyx import patterns
from cyx.patterns import Transfer

MIB = 1024 * 1024
PASSES = 60
ALLOWED = 1.10  # what two builds of one loop differ by, and the call from Python

PLAIN_C = r"""
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static uint64_t random_word(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

long touch(const unsigned char *memory, size_t size, size_t stride, size_t unused, uint64_t *sum)
{
    long begin = now();
    uint64_t total = 0;
    for (size_t i = 0; i < size; i += stride) total += memory[i];
    *sum = total;
    return now() - begin;
}

long touch_random(const unsigned char *memory, size_t size, size_t count, size_t seed, uint64_t *sum)
{
    long begin = now();
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++) total += memory[random_word(seed, i) % size];
    *sum = total;
    return now() - begin;
}

long scan(const unsigned char *memory, size_t size, size_t unused, size_t unused_too, uint64_t *sum)
{
    long begin = now();
    const uint64_t *words = (const uint64_t *)memory;
    uint64_t total = 0;
    for (size_t i = 0; i < size / 8; i++) total += words[i];
    *sum = total;
    return now() - begin;
}

long read_blocks(int fd, size_t block, size_t stride, uint64_t *sum)
{
    unsigned char *buffer = malloc(block);
    long begin = now();
    uint64_t total = 0;
    off_t offset = 0;
    ssize_t got;
    while ((got = pread(fd, buffer, block, offset)) > 0) {
        for (ssize_t i = 0; i < got; i += stride) total += buffer[i];
        offset += got;
    }
    *sum = total;
    begin = now() - begin;
    free(buffer);
    return begin;
}
"""


@dataclass(frozen=True)
class Compared:
    """A kernel, and the call of its loop in C."""

    kernel: Callable[[], Transfer]
    plain: Callable[[Any], int]


@pytest.fixture(scope="module")
def plain_c() -> Iterator[ctypes.CDLL]:
    """Return the loops in C, built with the options that the extensions are built with."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: install gcc")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "plain.c"), Path(folder, "plain.so")
        source.write_text(PLAIN_C)
        command = [compiler, "-std=c11", "-D_GNU_SOURCE", "-O3", "-shared", "-fPIC", "-o", str(library), str(source)]
        subprocess.run(command, check=True)
        loaded = ctypes.CDLL(str(library))
        for name in ("touch", "touch_random", "scan", "read_blocks"):
            getattr(loaded, name).restype = ctypes.c_long
        yield loaded


@pytest.fixture(scope="module")
def memory() -> np.ndarray:
    """Return more memory than caches hold, filled."""
    array = np.empty(128 * MIB, np.uint8)
    patterns.fill(array)
    return array


@pytest.fixture(scope="module")
def descriptor(memory: np.ndarray) -> Iterator[int]:
    """Return a file that is in the page cache."""
    with tempfile.NamedTemporaryFile() as file:
        memory[: 32 * MIB].tofile(file.name)
        with open(file.name, "rb") as opened:
            patterns.scan(opened)
            yield opened.fileno()


def in_memory(plain: Any, memory: np.ndarray, first: int, second: int = 0) -> Callable[[Any], int]:
    """Return the call of a C loop over the memory."""
    address, size = ctypes.c_void_p(memory.ctypes.data), ctypes.c_size_t(memory.size)
    return lambda answer: int(plain(address, size, ctypes.c_size_t(first), ctypes.c_size_t(second), answer))


@pytest.fixture(params=["touch_pages", "touch_lines", "touch_random", "scan", "scan_in_cache", "read_blocks"])
def compared(request: pytest.FixtureRequest, plain_c: ctypes.CDLL, memory: np.ndarray, descriptor: int) -> Compared:
    """Return each kernel with its loop in C."""
    small = memory[:MIB]
    rows = {
        "touch_pages": Compared(lambda: patterns.touch(memory, 4096), in_memory(plain_c.touch, memory, 4096)),
        "touch_lines": Compared(lambda: patterns.touch(memory, 64), in_memory(plain_c.touch, memory, 64)),
        "touch_random": Compared(
            lambda: patterns.touch_random(memory, 200_000, 3), in_memory(plain_c.touch_random, memory, 200_000, 3)
        ),
        "scan": Compared(lambda: patterns.scan(memory), in_memory(plain_c.scan, memory, 0)),
        "scan_in_cache": Compared(lambda: patterns.scan(small), in_memory(plain_c.scan, small, 0)),
        "read_blocks": Compared(
            lambda: patterns.read_blocks(descriptor, 64 * 1024, 1024),
            lambda answer: int(
                plain_c.read_blocks(descriptor, ctypes.c_size_t(64 * 1024), ctypes.c_size_t(1024), answer)
            ),
        ),
    }
    row: Compared = rows[request.param]
    return row


def test_kernel_keeps_up_with_plain_c(benchmark: Any, compared: Compared) -> None:
    """The answer is the same, and it takes at most a tenth longer, whatever Python does round it."""
    answer = ctypes.c_uint64()
    kernel: list[int] = []
    plain: list[int] = []

    def one_after_the_other() -> None:
        transfer = compared.kernel()
        plain.append(compared.plain(ctypes.byref(answer)))
        kernel.append(transfer.elapsed_ns)
        assert transfer.checksum == answer.value

    benchmark.pedantic(one_after_the_other, rounds=PASSES, warmup_rounds=2)
    ratio = min(kernel) / min(plain)
    benchmark.extra_info["over plain C"] = round(ratio, 3)
    print(f"\n{benchmark.name}: {ratio:.3f} of plain C ({min(kernel) / 1e3:,.1f} us)")

    assert ratio <= ALLOWED


def test_scan_reads_memory_as_fast_as_any_library(benchmark: Any, memory: np.ndarray) -> None:
    """The yardstick of bandwidth_share is no slower than NumPy's sum, which uses the widest registers there are."""
    import time

    words = memory.view(np.uint64)
    ours: list[int] = []
    theirs: list[int] = []

    def one_after_the_other() -> None:
        ours.append(patterns.scan(memory).elapsed_ns)
        begin = time.perf_counter_ns()
        words.sum()
        theirs.append(time.perf_counter_ns() - begin)

    benchmark.pedantic(one_after_the_other, rounds=PASSES, warmup_rounds=2)
    ratio = min(ours) / min(theirs)
    benchmark.extra_info["over numpy.sum"] = round(ratio, 3)
    print(f"\nscan: {ratio:.3f} of numpy.sum, {memory.size / min(ours):.1f} GB/s on {os.cpu_count()} processors")

    assert ratio <= ALLOWED
