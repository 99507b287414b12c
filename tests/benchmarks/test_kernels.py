"""The access patterns against the same loops in plain C, compiled in the run and taken in turns with them.

A ratio is the speed of the kernel over that of its loop: the median of pairs, each of one after the other over the same
memory. A pair in which another process had the processor is taken again. A median below the target is looked at with
more pairs, and all of them count. NumPy stands beside, where it has such a loop, for orientation.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

import numpy as np
import plain
import pytest
from pairs import PAIRS, Comparison, compare

from cyx import patterns
from cyx.patterns import Transfer

RUN_NS = 5_000_000  # of one side of a pair: what the Python before it did to the caches is 2 % of a fifth of that
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
UNTIL_MEMORY = 4  # times the last cache


def cache_sizes() -> dict[str, int]:
    """Return the bytes of the data caches, as the kernel tells."""
    sizes = {}
    for index in CACHES.glob("index*"):
        if index.joinpath("type").read_text().strip() != "Instruction":
            sizes[f"L{index.joinpath('level').read_text().strip()}"] = (
                int(index.joinpath("size").read_text().strip().removesuffix("K")) * 1024
            )
    return sizes


def footprints() -> dict[str, int]:
    """Return the bytes that a case goes over: half of each cache, which others use too, and far more than the last."""
    caches = cache_sizes() or {"L1": 32 * 1024, "L2": 1024**2, "L3": 32 * 1024**2}
    last = max(caches.values())
    return {**{name: size // 2 for name, size in sorted(caches.items())}, "memory": UNTIL_MEMORY * last}


FOOTPRINTS = footprints()


@dataclass
class Operands:
    """Memory and what else the cases of one size go over."""

    arrays: list[np.ndarray[Any, np.dtype[np.uint8]]]
    size: int
    fd: int
    buffer: np.ndarray[Any, np.dtype[np.uint8]] = field(default_factory=lambda: np.zeros(64 * 1024, np.uint8))
    index: np.ndarray[Any, np.dtype[np.int64]] = field(default_factory=lambda: np.zeros(0, np.int64))
    kept: list[Any] = field(default_factory=list)

    def run(self, **rest: Any) -> plain.Run:
        """Return the run of a loop over the same operands."""
        pointers = dict(zip(("target", "source", "second"), (array.ctypes.data for array in self.arrays), strict=False))
        return plain.Run(**{**pointers, "size": self.size, "value": 10, "factor": 3.0, "passes": 1, **rest})


Ours = Callable[[Operands, int], Transfer]


@dataclass(frozen=True)
class Case:
    """A kernel, the loop that it is compared with, and what both go over."""

    ours: Ours
    plain: str
    arrays: int  # that share the footprint
    rest: Callable[[Operands, ctypes.CDLL], dict[str, Any]] = lambda operands, library: {}
    numpy: Callable[..., Any] | None = None
    checked: bool = False  # both give the same answer
    smallest: str = "L1"


def over(kernel: Callable[..., Transfer], arrays: int, *arguments: Any, **rest: Any) -> Ours:
    """Return the call of a kernel with so many arrays and these arguments."""
    return lambda operands, passes: kernel(*operands.arrays[:arrays], *arguments, passes=passes, **rest)


def read(kernel: Callable[..., Transfer], *arguments: Any, **rest: Any) -> Ours:
    """Return the call of a kernel that reads the second array, as the loops do."""
    return lambda operands, passes: kernel(operands.arrays[1], *arguments, passes=passes, **rest)


ACCESSES = 50_000


def at_random(kind: str, unit: int) -> Callable[[Operands, ctypes.CDLL], dict[str, Any]]:
    """Return what a loop of random accesses needs."""

    def rest(operands: Operands, library: ctypes.CDLL) -> dict[str, Any]:
        units = operands.size // unit
        operands.kept.append(plain.draw(library, kind, units, unit, 3))
        count = min(units, ACCESSES) if kind == "once" else ACCESSES
        return {"draw": ctypes.addressof(operands.kept[-1]), "size": count}

    return rest


def touch_once(operands: Operands, passes: int) -> Transfer:
    """Touch lines without repetition."""
    count = min(operands.size // 64, ACCESSES)
    return patterns.touch_random(operands.arrays[1], count, 3, unit=64, repeat=False, passes=passes)


def indexed(operands: Operands, library: ctypes.CDLL) -> dict[str, Any]:
    """Return what a loop over indexes needs: the same indexes in its third array."""
    return {"second": operands.arrays[2].ctypes.data}


def indexes(operands: Operands) -> Any:
    """Return the third array as indexes, each word once and in random order."""
    index = operands.arrays[2].view(np.int64)
    if operands.index.size != index.size:
        operands.index = np.random.default_rng(3).permutation(index.size)
        index[:] = operands.index
    return index


def blocks(operands: Operands, library: ctypes.CDLL) -> dict[str, Any]:
    """Return what a loop over a file needs."""
    return {"fd": operands.fd, "buffer": operands.buffer.ctypes.data, "block": operands.buffer.size, "stride": 1024}


def from_file(call: Literal["pread", "read"]) -> Ours:
    """Return the call of read_blocks over the file."""
    return lambda operands, passes: patterns.read_blocks(
        operands.fd, operands.buffer.size, 1024, call=call, length=operands.size, passes=passes
    )


def doubles(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a call of NumPy over the arrays as numbers."""
    return lambda operands: function(*(array.view(np.float64) for array in operands.arrays))


CASES: dict[str, Case] = {
    "scan": Case(read(patterns.scan), "scan", 1, numpy=lambda o: o.arrays[1].view(np.uint64).sum(), checked=True),
    "write": Case(over(patterns.write, 1, 10), "write", 1, numpy=lambda o: o.arrays[0].view(np.uint64).fill(10)),
    "fill": Case(over(patterns.fill, 1, 10), "fill", 1),
    "copy": Case(over(patterns.copy, 2), "copy", 2, numpy=doubles(lambda a, b, c: np.copyto(a, b))),
    "scale": Case(over(patterns.scale, 2), "scale", 2, numpy=doubles(lambda a, b, c: np.multiply(b, 3.0, out=a))),
    "add": Case(over(patterns.add, 3), "add", 3, numpy=doubles(lambda a, b, c: np.add(b, c, out=a))),
    "triad": Case(
        over(patterns.triad, 3), "triad", 3, numpy=doubles(lambda a, b, c: np.add(b, np.multiply(c, 3.0, out=a), out=a))
    ),
    "write_nontemporal": Case(over(patterns.write_nontemporal, 1, 10), "write_nontemporal", 1),
    "copy_nontemporal": Case(over(patterns.copy_nontemporal, 2), "copy_nontemporal", 2),
    "touch lines": Case(
        read(patterns.touch, 64), "touch", 1, lambda o, _: {"stride": 64}, lambda o: o.arrays[1][::64].sum(), True
    ),
    "touch pages": Case(
        read(patterns.touch), "touch", 1, lambda o, _: {"stride": mmap.PAGESIZE}, None, True, smallest="memory"
    ),
    "touch_write lines": Case(over(patterns.touch_write, 1, 64), "touch_write", 1, lambda o, _: {"stride": 64}),
    "touch_write pages": Case(
        over(patterns.touch_write, 1), "touch_write", 1, lambda o, _: {"stride": mmap.PAGESIZE}, smallest="memory"
    ),
    "touch_random": Case(
        read(patterns.touch_random, ACCESSES, 3), "touch_random", 1, at_random("uniform", 1), checked=True
    ),
    "touch_random once": Case(touch_once, "touch_once", 1, at_random("once", 64), checked=True),
    "touch_random zipf": Case(
        read(patterns.touch_random, ACCESSES, 3, unit=64, distribution="zipf"),
        "touch_zipf",
        1,
        at_random("zipf", 64),
        checked=True,
    ),
    "gather": Case(
        lambda o, passes: patterns.gather(o.arrays[0], o.arrays[1], indexes(o), passes=passes),
        "gather",
        3,
        indexed,
        lambda o: o.arrays[1].view(np.int64).take(indexes(o), out=o.arrays[0].view(np.int64)),
    ),
    "scatter": Case(
        lambda o, passes: patterns.scatter(o.arrays[0], o.arrays[1], indexes(o), passes=passes), "scatter", 3, indexed
    ),
    "count": Case(
        read(patterns.count, 10), "count", 1, numpy=lambda o: np.count_nonzero(o.arrays[1] == 10), checked=True
    ),
    "find_lines": Case(read(patterns.find_lines), "find_lines", 1, checked=True),
    "checksum": Case(read(patterns.checksum), "checksum", 1, checked=True),
    "read_blocks by pread": Case(from_file("pread"), "pread_blocks", 1, blocks, checked=True),
    "read_blocks by read": Case(from_file("read"), "read_blocks", 1, blocks, checked=True),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Return the loops in C."""
    return plain.build(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def memory() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return memory for all cases, filled, on huge pages where there are some: both sides go over the same pages."""
    mapping = mmap.mmap(-1, 3 * FOOTPRINTS["memory"] + 2**21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    mapping.madvise(mmap.MADV_HUGEPAGE)
    array = np.frombuffer(mapping, np.uint8)
    patterns.fill(array)
    return array


@pytest.fixture(scope="module")
def file(memory: np.ndarray[Any, np.dtype[np.uint8]]) -> Iterator[int]:
    """Return a file that is in the page cache."""
    with tempfile.NamedTemporaryFile() as named:
        memory[: FOOTPRINTS["memory"]].tofile(named.name)
        with open(named.name, "rb") as opened:
            patterns.scan(opened)
            yield opened.fileno()


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Return the rows that are printed in the end."""
    rows: list[str] = []
    yield rows
    print(f"\n\n{'':<28}{'over':<8}{'kernel':>14}{'ratio to C':>12}{'to NumPy':>10}{'pairs':>7}", *rows, sep="\n")
    print("* others took the processor away in most pairs, and all of them count")


def operands_of(case: Case, footprint: int, memory: Any, file: int) -> Operands:
    """Return arrays that share the footprint, filled with numbers, not at the same place of their pages."""
    size = footprint // case.arrays // mmap.PAGESIZE * mmap.PAGESIZE
    starts = [i * (size + 256) for i in range(3)]
    arrays = [memory[start : start + size] for start in starts]
    for array in arrays[: max(case.arrays, 2)]:
        patterns.fill(array)
        array.view(np.uint64)[:] = (array.view(np.uint64) >> np.uint64(12)) | np.uint64(
            0x3FF0000000000000
        )  # 1.0 to 2.0
    return Operands(arrays, size, file)


def nanoseconds(function: Callable[[], Any], passes: int) -> float:
    """Return the time of a pass of something in Python."""
    begin = time.perf_counter_ns()
    for _ in range(passes):
        function()
    return (time.perf_counter_ns() - begin) / passes


def row(name: str, over: str, speed: str, found: Comparison, numpy: str = "") -> str:
    """Return a row of the table."""
    pairs = f"{len(found.ratios)}{' ' if found.quiet else '*'}"
    return f"{name:<28}{over:<8}{speed:>14}{found.ratio:>12.3f}{numpy:>10}{pairs:>8}"


def speed_of(transfer: Transfer) -> str:
    """Return bytes a second, or nanoseconds an access where single bytes are touched."""
    if transfer.bytes == transfer.accesses:
        return f"{transfer.elapsed_ns / transfer.accesses:.2f} ns"
    return f"{transfer.bytes / transfer.elapsed_ns:.1f} GB/s"


@pytest.mark.usefixtures("one_processor")
@pytest.mark.parametrize("level", FOOTPRINTS)
@pytest.mark.parametrize("name", CASES)
def test_kernel_is_as_fast_as_plain_c(
    name: str, level: str, library: ctypes.CDLL, memory: Any, file: int, table: list[str]
) -> None:
    """The answer is the same, and the kernel takes no longer, whatever Python does round it."""
    case = CASES[name]
    if list(FOOTPRINTS).index(level) < list(FOOTPRINTS).index(case.smallest):
        pytest.skip("the first lines of pages share a few sets of a cache: its speed is luck")
    operands = operands_of(case, FOOTPRINTS[level], memory, file)
    case.ours(operands, 1)
    run = operands.run(**case.rest(operands, library))
    loop = plain.loop(library, case.plain)
    run.passes = max(1, round(RUN_NS / max(min(loop(run) for _ in range(3)), 1)))
    passes = run.passes
    loop(run)

    found = compare(lambda: case.ours(operands, passes).elapsed_ns, lambda: loop(run))

    transfer = min((case.ours(operands, passes) for _ in range(5)), key=lambda transfer: transfer.elapsed_ns)
    numpy = ""
    if case.numpy is not None:
        call = case.numpy
        theirs = min(nanoseconds(lambda: call(operands), passes) for _ in range(5))
        numpy = f"{theirs / (transfer.elapsed_ns / passes):.2f}"
    table.append(row(name, level, speed_of(transfer), found, numpy))
    print(f"\n{table[-1]}", end="")
    if case.checked:
        assert transfer.checksum == run.answer
    found.judge()


@pytest.mark.usefixtures("one_processor")
@pytest.mark.parametrize("level", FOOTPRINTS)
@pytest.mark.parametrize("chains", [1, 4, 16])
def test_chase_is_within_two_percent(
    chains: int, level: str, library: ctypes.CDLL, memory: Any, table: list[str]
) -> None:
    """A step takes as long as in plain C that follows the same pointers, in as many chains."""
    nodes = memory[: FOOTPRINTS[level]]
    cycle = patterns.Cycle(nodes, 64)
    starts = (ctypes.c_void_p * 16)(nodes.ctypes.data + cycle.chase(0).checksum)
    walk, steps = plain.loop(library, "chase_1"), cycle.nodes // chains
    for i in range(1, chains):
        starts[i] = starts[0]
        length = cycle.nodes // chains * i + cycle.nodes % chains * i // chains
        one = (ctypes.c_void_p * 1)(starts[0])
        follower = plain.Run(second=ctypes.addressof(one), size=length, passes=1)
        walk(follower)
        starts[i] = follower.answer
    loop = plain.loop(library, f"chase_{chains}")
    run = plain.Run(second=ctypes.addressof(starts), size=steps, passes=1)
    run.size = steps * max(1, round(RUN_NS / loop(run)))

    found = compare(lambda: cycle.chase(run.size, chains).elapsed_ns, lambda: loop(run))

    transfer = cycle.chase(run.size, chains)
    table.append(row(f"chase, chains {chains}", level, f"{transfer.elapsed_ns / transfer.accesses:.2f} ns", found))
    print(f"\n{table[-1]}", end="")
    assert transfer.checksum + chains * nodes.ctypes.data == run.answer
    found.judge()


IN_THREADS = ["scan", "write", "copy", "scale", "add", "triad", "write_nontemporal", "copy_nontemporal"]


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one processor")
@pytest.mark.parametrize("name", IN_THREADS)
def test_two_threads_scale_as_those_of_c(
    name: str, library: ctypes.CDLL, memory: Any, file: int, table: list[str]
) -> None:
    """Two threads are as much faster than one as the same loop in two threads of C."""
    case = CASES[name]
    operands = operands_of(case, FOOTPRINTS["memory"], memory, file)
    kernel = getattr(patterns, name)
    arguments = operands.arrays[1:2] if name == "scan" else operands.arrays[: case.arrays]
    half = operands.size // 2
    halves = [operands.run(size=half), operands.run(size=half)]
    for pointer in ("target", "source", "second"):
        setattr(halves[1], pointer, getattr(halves[1], pointer) + half)

    found = compare(
        lambda: kernel(*arguments, threads=2).elapsed_ns, lambda: plain.in_threads(library, case.plain, halves)
    )

    one = min(kernel(*arguments).elapsed_ns for _ in range(PAIRS))
    two = min(kernel(*arguments, threads=2).elapsed_ns for _ in range(PAIRS))
    table.append(row(f"{name}, threads 2", "memory", f"x {one / two:.2f}", found))
    print(f"\n{table[-1]}", end="")
    found.judge()


def test_copy_is_as_fast_as_mbw(memory: Any, table: list[str]) -> None:
    """Beside mbw, which copies word by word between two arrays of its own."""
    program = shutil.which("mbw") or pytest.skip("mbw is not installed: apt-get install mbw")
    mebibytes = FOOTPRINTS["memory"] // 2**21
    size = mebibytes * 2**20
    arrays = [np.zeros(size, np.uint8) for _ in range(2)]

    def theirs() -> int:
        printed = subprocess.run([program, "-q", "-n", "5", "-t", "1", str(mebibytes)], capture_output=True, text=True)
        times = [float(found) for found in re.findall(r"Elapsed: ([\d.]+)", printed.stdout)]
        return round(median(times[:5]) * 1e9)

    def ours() -> int:
        return round(median(patterns.copy(*arrays).elapsed_ns for _ in range(5)))

    found = compare(ours, theirs)
    table.append(row("copy beside mbw", "memory", f"{2 * size / ours():.1f} GB/s", found))
    found.judge()


@pytest.mark.parametrize(("name", "theirs", "arrays"), [("copy", "copy_sse", 2), ("triad", "stream_sse", 3)])
def test_stream_is_as_fast_as_likwid(name: str, theirs: str, arrays: int, table: list[str]) -> None:
    """Beside likwid-bench, in assembly for the processors that gcc -O3 builds for; of the four it has these two."""
    program = shutil.which("likwid-bench") or pytest.skip("likwid-bench is not installed: apt-get install likwid")
    kilobytes = FOOTPRINTS["memory"] // arrays // 8000 * 8  # of 1000 bytes, as it counts
    operands = [np.ones(kilobytes * 1000, np.uint8) for _ in range(arrays)]
    command = [program, "-t", theirs, "-w", f"S0:{kilobytes * arrays}kB:1", "-i", "10"]

    def peer() -> float:
        printed = subprocess.run(command, capture_output=True, text=True, check=True)
        return 1000 / float(re.findall(r"MByte/s:\s*([\d.]+)", printed.stdout)[0])  # nanoseconds a byte

    def ours() -> float:
        transfer = getattr(patterns, name)(*operands, passes=10)
        return float(transfer.elapsed_ns / transfer.bytes)

    found = compare(ours, peer)
    table.append(row(f"{name} beside likwid", "memory", f"{1 / ours():.1f} GB/s", found))
    found.judge()
