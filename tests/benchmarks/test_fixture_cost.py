"""What a fixture adds to the system calls that it cannot do without, made in C, in pairs within one run.

``make bench`` takes 21 pairs of each, 9 of the largest; MEMPERF_BENCH=quick 7 and 3. What a fixture adds hardly depends
on the size, so whether that is much does: it is printed for each size, and held to 5 % from 128 MiB on, of huge pages,
which the kernel gives five times as fast, from 2 GiB on. It is time of the CPU, the kernel's work included: neither
what else runs on the machine nor what a disk takes is part of it. The least time of each side is compared, as what the
machine does meanwhile can only add to it.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from compiled import compiled

from cyx import hugepages, page_cache
from cyx.probes.procfs import statm
from pytest_memperf.fixtures.cpu_pinning import CpuPinning
from pytest_memperf.fixtures.hugepage_region import HugePageRegions
from pytest_memperf.fixtures.mapped_file import MappedFiles
from pytest_memperf.fixtures.numa_buffer import NumaBuffers

MIB = 2**20
QUICK = os.environ.get("MEMPERF_BENCH") == "quick"
PAIRS = 7 if QUICK else 21
PAIRS_OF_LARGE = 3 if QUICK else 9
SIZES = {"16 MiB": 16 * MIB, "128 MiB": 128 * MIB, "2 GiB": 2048 * MIB}
MOST_ADDED = 1.05
FROM, FROM_OF_HUGE = 128 * MIB, 2048 * MIB
"""The sizes from which on that holds."""
MAP_HUGETLB, HUGEPAGE, NOHUGEPAGE, NO_ADVICE, NO_NODE = 0x40000, 14, 15, -1, -1


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest, no_garbage: None) -> Iterator[None]:
    """Hold each to having given back all that it took, 2 GiB at a time: addresses, memory, descriptors."""
    if "plain" in request.fixturenames:
        request.getfixturevalue("plain")
    before, descriptors = statm(), len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == descriptors
    mapped, resident = (now - then for now, then in zip(statm(), before, strict=True))
    assert mapped < min(SIZES.values())
    assert resident < min(SIZES.values())


def lacking(reason: str) -> NoReturn:
    """Skip as the fixture would."""
    pytest.skip(reason)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Compile the system calls."""
    loaded = compiled("plain_fixtures.c", tmp_path_factory.mktemp("plain"), "-O2")
    for name in ("plain_memory", "plain_file", "plain_pinning"):
        getattr(loaded, name).restype = ctypes.c_long
    return loaded


def use(fixture: Any, *arguments: Any, **keywords: Any) -> int:
    """Return the nanoseconds of CPU that a fixture takes, from being made to having taken away what it made."""
    begin = time.thread_time_ns()
    made = fixture()
    made(*arguments, **keywords)
    made.close()
    return time.thread_time_ns() - begin


def compare(
    capsys: pytest.CaptureFixture[str], what: str, length: int, bare: Callable[[], int], fixture: Callable[[], int]
) -> tuple[float, float]:
    """Print and return the ratio of the least times, and the microseconds between them; the median of the pairs too."""
    pairs = []
    bare(), fixture()  # what is first of its kind takes longer
    for turn in range(PAIRS if length <= FROM else PAIRS_OF_LARGE):
        if turn % 2:
            added, alone = fixture(), bare()
        else:
            alone, added = bare(), fixture()
        assert alone > 0, "a system call failed"
        pairs.append((alone, added))
    alone, added = (min(side) for side in zip(*pairs, strict=True))
    ratio, more = added / alone, (added - alone) / 1000
    usual = statistics.median(added / alone for alone, added in pairs)
    with capsys.disabled():
        print(
            f"\n{what:<36}{alone / 1e6:>10.3f} ms bare {more:>+9.0f} µs {ratio:>7.3f} x; of pairs {usual:.3f} x", end=""
        )
    return ratio, more


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["none", "thp", "hugetlb"])
def test_hugepage_region(
    plain: ctypes.CDLL, pool: Callable[[int, int], None], capsys: pytest.CaptureFixture[str], kind: str, size: str
) -> None:
    """Memory on pages of each kind."""
    length = SIZES[size]
    if kind == "hugetlb":
        pool(length // hugepages.default_size(), hugepages.default_size())
    flags = MAP_HUGETLB if kind == "hugetlb" else 0
    advice = {"none": NOHUGEPAGE, "thp": HUGEPAGE, "hugetlb": NO_ADVICE}[kind]
    ratio, _ = compare(
        capsys,
        f"hugepage_region {kind} {size}",
        length,
        partial(plain.plain_memory, ctypes.c_size_t(length), flags, advice, NO_NODE),
        partial(use, partial(HugePageRegions, lacking), length, kind),
    )
    assert length < (FROM if kind == "none" else FROM_OF_HUGE) or ratio <= MOST_ADDED


@pytest.mark.parametrize("size", SIZES)
def test_numa_buffer(plain: ctypes.CDLL, capsys: pytest.CaptureFixture[str], size: str) -> None:
    """Memory bound to a node."""
    length = SIZES[size]
    ratio, _ = compare(
        capsys,
        f"numa_buffer bind {size}",
        length,
        partial(plain.plain_memory, ctypes.c_size_t(length), 0, NOHUGEPAGE, 0),
        partial(use, partial(NumaBuffers, lacking), length, "bind", [0]),
    )
    assert length < FROM or ratio <= MOST_ADDED


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_mapped_file(
    tmp_path: Path, plain: ctypes.CDLL, capsys: pytest.CaptureFixture[str], cache: str, size: str
) -> None:
    """A file that is there."""
    path = tmp_path / "given"
    if page_cache.memory_file_system(tmp_path):
        pytest.skip("pytest --basetemp=FOLDER on a disk")
    with path.open("wb") as file:
        for _ in range(0, SIZES[size], MIB):
            file.write(bytes(MIB))

    def from_warm(call: Callable[[], int]) -> int:
        page_cache.fill(path)
        return call()

    files = partial(MappedFiles, lambda: tmp_path, lacking)
    ratio, _ = compare(
        capsys,
        f"mapped_file {cache} {size}",
        SIZES[size],
        partial(from_warm, partial(plain.plain_file, bytes(path), int(cache == "warm"))),
        partial(from_warm, partial(use, files, path=path, cache=cache)),
    )
    path.unlink()
    assert SIZES[size] < FROM or ratio <= MOST_ADDED


def test_cpu_pinning(plain: ctypes.CDLL, capsys: pytest.CaptureFixture[str]) -> None:
    """Two system calls of microseconds: any word of Python is more than 5 % of them, so what it adds is held to."""
    cpu = min(os.sched_getaffinity(0))
    _, more = compare(
        capsys, "cpu_pinning", 0, partial(plain.plain_pinning, cpu), partial(use, partial(CpuPinning, lacking), cpu)
    )
    assert more < 200
