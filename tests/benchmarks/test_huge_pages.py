"""What huge pages save: a pointer chase over 1 GiB of them against the same over small pages, beside plain C.

The kernel and C follow the same pointers in the memory of the fixture, and C follows those of a shuffle of its own in a
mapping of its own. A gain is how many times as fast the chase is on huge pages. It depends on how scattered the small
pages are, and so it differs from mapping to mapping; what the kernel and C do in the same one may not differ.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from compiled import compiled
from pairs import compare

from cyx import hugepages, patterns
from cyx.patterns import Cycle

SIZE = 2**30
LINE = 64
STEPS = 1_000_000  # 64 MiB of lines, which the usual last cache does not keep from one chase to the next
COVERED = 0.95
MAP_HUGETLB, MAP_HUGE_SHIFT = 0x40000, 26
MADV_HUGEPAGE, MADV_NOHUGEPAGE = 14, 15


@dataclass(frozen=True)
class Pages:
    """A kind of pages: what the fixture takes for it, and what mmap and madvise do."""

    kind: str
    bytes: int
    flags: int = 0
    advice: int = 0

    @property
    def keywords(self) -> dict[str, Any]:
        """What hugepage_region takes beside size and kind."""
        return {"page_size": self.bytes, "reserve": True} if self.kind == "hugetlb" else {}


def reserved(size: int) -> Pages:
    """Return reserved huge pages of this size."""
    return Pages("hugetlb", size, MAP_HUGETLB | (size.bit_length() - 1) << MAP_HUGE_SHIFT)


SMALL = Pages("none", mmap.PAGESIZE, advice=MADV_NOHUGEPAGE)
KINDS = {
    "transparent": Pages("thp", hugepages.thp_size(), advice=MADV_HUGEPAGE),
    "2 MiB": reserved(2**21),
    "1 GiB": reserved(2**30),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """Return the chase in C."""
    loaded = compiled("plain_huge_pages.c", tmp_path_factory.mktemp("plain"), "-std=gnu11", "-O3")
    loaded.plain_map.restype = ctypes.c_void_p
    loaded.plain_steps.restype = ctypes.c_long
    return loaded


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Return the rows that are printed in the end."""
    rows: list[str] = []
    yield rows
    print(
        f"\n\nA chase over {SIZE >> 20} MiB: the kernel, C over the same memory, C over its own; kernel beside C"
        f"\n{'pages':<13}{'faults':>8}{'of C':>8}{'coverage':>10}{'ns a step':>22}{'gain over small ones':>24}"
        f"{'huge, small':>16}",
        *rows,
        sep="\n",
    )


class Chases:
    """Memory of the fixture, touched first in a window, and memory that C maps: three chases."""

    def __init__(
        self, pages: Pages, hugepage_region: Any, memperf: Any, library: ctypes.CDLL, at_the_end: ExitStack
    ) -> None:
        self._library = library
        self._region = hugepage_region(SIZE, pages.kind, populate=False, **pages.keywords)
        with memperf.window(pages.kind) as touch:
            patterns.touch_write(self._region, mmap.PAGESIZE)
        self.faults = touch.minor_faults
        self.coverage = self._region.huge_coverage
        self._cycle = Cycle(self._region, node=LINE)
        self._start = self._region.address + self._cycle.chase(0).checksum

        hugepage_region(SIZE, pages.kind, populate=False, **pages.keywords).close()  # its pages stay reserved, for C
        faults = ctypes.c_long()
        size = ctypes.c_size_t(SIZE)
        mapped = library.plain_map(
            size, pages.flags, pages.advice, ctypes.c_size_t(mmap.PAGESIZE), ctypes.byref(faults)
        )
        assert mapped, "the pages that were reserved for C are not to be had"
        at_the_end.callback(library.plain_unmap, ctypes.c_void_p(mapped), size)
        assert library.plain_link(ctypes.c_void_p(mapped), size) == 0
        self._mapped = mapped
        self.faults_of_c = faults.value

    def kernel(self) -> float:
        """Return the nanoseconds of a step of the kernel."""
        return self._cycle.chase(STEPS).elapsed_ns / STEPS

    def plain(self) -> float:
        """Return those of C over the same memory."""
        return self._steps_of_c(self._start)

    def apart(self) -> float:
        """Return those of C over its own memory."""
        return self._steps_of_c(self._mapped)

    def _steps_of_c(self, start: int) -> float:
        return int(self._library.plain_steps(ctypes.c_void_p(start), ctypes.c_size_t(STEPS))) / STEPS


@pytest.mark.usefixtures("one_processor")
@pytest.mark.parametrize("name", KINDS)
def test_chase(name: str, memperf: Any, hugepage_region: Any, library: ctypes.CDLL, table: list[str]) -> None:
    """As many faults as pages, all of the memory on huge pages, and a step as fast as that of C."""
    pages = KINDS[name]
    with ExitStack() as at_the_end:
        small, huge = (Chases(each, hugepage_region, memperf, library, at_the_end) for each in (SMALL, pages))
        gains = [
            compare(huge.kernel, small.kernel), compare(huge.plain, small.plain), compare(huge.apart, small.apart)
        ]  # fmt: skip
        beside = [compare(huge.kernel, huge.plain), compare(small.kernel, small.plain)]
        steps = [min(chase() for _ in range(3)) for chase in (huge.kernel, huge.plain, huge.apart)]

    table.append(
        f"{name:<13}{huge.faults:>8,}{huge.faults_of_c:>8,}{huge.coverage:>10.1%}"
        f"{' '.join(f'{each:>6.1f}' for each in steps):>22}{' '.join(f'{each.ratio:>6.2f}' for each in gains):>24}"
        f"{' '.join(f'{each.ratio:>6.3f}' for each in beside):>16}"
    )
    assert small.faults == small.faults_of_c == SIZE // SMALL.bytes
    assert small.coverage == 0.0
    if pages.kind == "hugetlb":
        assert huge.faults == huge.faults_of_c == SIZE // pages.bytes
        assert huge.coverage == 1.0
    else:  # the rest is on small pages, each a fault as well
        covered = round(huge.coverage * SIZE)
        assert huge.coverage > COVERED
        assert huge.faults == covered // pages.bytes + (SIZE - covered) // SMALL.bytes
    for found in beside:
        found.judge()
