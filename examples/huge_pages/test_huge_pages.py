"""512 MiB on small, transparent and reserved huge pages: faults, coverage, and what accesses at random cost.

The budgets are counts and shares, no times: those are in the table. See README.md.
"""

from __future__ import annotations

import mmap
import os
from typing import Any, NamedTuple

import pytest

from cyx import patterns
from cyx.patterns import Cycle

MIB = 1024 * 1024
PAGE = mmap.PAGESIZE
LINE = 64
SIZE = int(os.environ.get("HUGE_PAGES_MIB", "512")) * MIB
ACCESSES = 1_000_000
SEED = 42
FEW = 64  # faults of a call that maps nothing


class Pages(NamedTuple):
    """What hugepage_region takes."""

    kind: str
    page_size: str | None = None

    @property
    def bytes(self) -> int:
        """The size of a page; of a transparent huge one that of the small ones that may stand in."""
        sizes = {None: PAGE, "2 MiB": 2 * MIB, "1 GiB": 1024 * MIB}
        return sizes[self.page_size]


KINDS = {
    "small": Pages("none"),
    "transparent": Pages("thp"),
    "2 MiB": Pages("hugetlb", "2 MiB"),
    "1 GiB": Pages("hugetlb", "1 GiB"),
}
every_kind = pytest.mark.parametrize("pages", KINDS.values(), ids=KINDS.keys())


def taken(hugepage_region: Any, pages: Pages, *, populate: bool = True) -> Any:
    """Return memory on these pages; where there are too few, root gets them for the test, others skip it."""
    page_size = {} if pages.page_size is None else {"page_size": pages.page_size}
    reserve = pages.kind == "hugetlb" and os.geteuid() == 0
    return hugepage_region(SIZE, pages.kind, reserve=reserve, populate=populate, **page_size)


@every_kind
def test_first_touch(memperf: Any, hugepage_region: Any, pages: Pages) -> None:
    """Each page is one fault; reserved huge pages are no part of the resident set."""
    region = taken(hugepage_region, pages, populate=False)
    count = -(-SIZE // pages.bytes)
    resident = {"max_peak_rss": MIB} if pages.kind == "hugetlb" else {"min_retained_rss": SIZE}
    with memperf.window("touch", max_minor_faults=count + FEW, **resident) as touch:
        patterns.touch_write(region, PAGE)

    if pages.kind == "thp":
        assert region.huge_coverage > 0.95
        assert touch.minor_faults < count / 100
    else:
        assert touch.minor_faults - count in range(FEW)
        assert region.huge_coverage == (1.0 if pages.kind == "hugetlb" else 0.0)


@pytest.fixture(scope="module")
def answers() -> dict[str, set[int]]:
    """The checksums that every kind of page must agree on."""
    return {"lines": set(), "chase": set()}


@every_kind
@pytest.mark.memperf(max_minor_faults=FEW, max_major_faults=0, rounds=3, warmup=1)
def test_random_lines(memperf: Any, hugepage_region: Any, answers: dict[str, set[int]], pages: Pages) -> None:
    """A million lines at random: the same sum on every kind of page."""
    region = taken(hugepage_region, pages)
    patterns.fill(region, length=SIZE)
    transfer = memperf(patterns.touch_random, region, ACCESSES, SEED, unit=LINE, length=SIZE)
    answers["lines"].add(transfer.checksum)

    assert transfer.accesses == ACCESSES
    assert len(answers["lines"]) == 1


@every_kind
@pytest.mark.memperf(max_minor_faults=FEW, max_major_faults=0, rounds=3, warmup=1)
def test_pointer_chase(memperf: Any, hugepage_region: Any, answers: dict[str, set[int]], pages: Pages) -> None:
    """A million dependent accesses, each to the place that the one before has read: what latency is measured with."""
    region = taken(hugepage_region, pages)
    cycle = Cycle(region, node=LINE, seed=SEED, length=SIZE)
    cycle.verify()
    transfer = memperf(cycle.chase, ACCESSES)
    answers["chase"].add(transfer.checksum)

    assert transfer.accesses == ACCESSES
    assert len(answers["chase"]) == 1
