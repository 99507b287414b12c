"""Huge pages whose rights the kernel has taken away to balance them between nodes, which some kernels do not show."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cyx.probes import smaps
from cyx.region import Region
from pytest_memperf.environment.numa import Topology
from pytest_memperf.measure.settings import Settings
from pytest_memperf.measure.window import Window
from pytest_memperf.metrics import BUILT_IN, Registry

MIB = 1024 * 1024
SIZE = 64 * MIB
AWHILE = 4.0  # seconds of a busy process, after one of which the kernel looks at its pages for the first time
LATEST = 90.0  # and after 60 it does so again, see numa_balancing_scan_period_max_ms
NAMES = ("pss", "uss", "huge_coverage")


@pytest.fixture
def region(nodes: Topology, require: Callable[[bool, str], None]) -> Iterator[Region]:
    """Memory on transparent huge pages, in a machine that balances its pages."""
    require(len(nodes.with_memory) > 1 and smaps.are_balanced(), "nodes to balance between")
    with Region(SIZE, kind="thp") as region:
        region.array[:] = 1
        yield region


def taken_away() -> int:
    """Return how many huge pages' rights the kernel has taken away so far."""
    lines = Path("/proc/vmstat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("numa_huge_pte_updates "))


def measured() -> dict[str, float]:
    """Return what the metrics read now."""
    window = Window("test", Settings(metrics=NAMES, requested=NAMES), Registry(BUILT_IN))
    window.repeat(int, (), {})
    return {name: float(window.measured()[name].value) for name in NAMES}


def test_they_are_counted_all_the_same(region: Region) -> None:
    """Of the region and of the process nothing is missing, before the kernel looks at its pages and after."""
    before, looked_at = measured(), taken_away()
    usage = region.usage()
    began = time.monotonic()
    while (spent := time.monotonic() - began) < AWHILE or (spent < LATEST and taken_away() == looked_at):
        sum(range(10_000))

    assert taken_away() > looked_at
    after = measured()
    for name in ("pss", "uss"):
        assert after[name] == pytest.approx(before[name], abs=2 * MIB)
    assert after["huge_coverage"] == pytest.approx(before["huge_coverage"], abs=0.05)
    assert (usage.huge, usage.resident) == (SIZE, SIZE)
    assert (region.usage().huge, region.usage().resident, region.usage().anonymous) == (SIZE, SIZE, SIZE)
    assert region.huge_coverage == 1.0
