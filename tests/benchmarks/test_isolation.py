"""How exact process isolation is: one count per test whatever runs beside it, and over innocent edits.

``make bench`` runs each workload 200 times; MEMPERF_BENCH=quick takes 20 and fewer layouts.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest
import workloads
from workloads import EDITS, NAMES, Edit

QUICK = os.environ.get("MEMPERF_BENCH") == "quick"
RUNS = 20 if QUICK else 200
SESSIONS = 5
LAYOUTS = 6 if QUICK else 16
EMPTY = 500 if QUICK else 10_000
LIMITS = {"arrays": 0.0015, "dicts": 0.0015, "json": 0.007}
"""How far the counts may spread over the edits."""

COMPANY = "\n".join(f"def test_other_{number}():\n    assert str({number}) * {number + 1}\n" for number in range(50))
REPEATED = """
@pytest.fixture(params=range({count}))
def turn(request): return request.param
"""
EMPTY_WINDOWS = """
import sys
import time
import pytest

pytestmark = pytest.mark.memperf(isolation="process")

def nothing(): pass

def deeper(depth, function):
    return function() if depth == 0 else deeper(depth - 1, function)

@pytest.mark.parametrize("turn", range({children}))
def test_empty(turn): pass

@pytest.mark.parametrize("turn", range({turns}))
def test_depths(memperf, turn):
    sys.setrecursionlimit(5_000)
    for depth in range(900):
        deeper(depth, lambda: memperf.measure(nothing, name=f"depth {{depth}}"))
"""


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module with each workload many times among 50 other tests."""
    count = max(1, RUNS // SESSIONS)
    source = workloads.MODULE
    for name in NAMES:
        source = source.replace(f"def test_{name}():", f"def test_{name}(turn):")
    source = source.replace("\n@pytest.mark", REPEATED.format(count=count) + "\n@pytest.mark", 1) + COMPANY
    return workloads.write(tmp_path_factory.mktemp("repeated"), Edit("repeated", source))


def test_one_count_in_any_company(repeated: Path) -> None:
    """Each workload has one single count: in random order among 50, alone, by -k, under -n 2, in several sessions."""
    ways = {
        "random order, session 1": ("--random-order", f"--random-order-seed={random.randrange(10**6)}"),
        "random order, session 2": ("--random-order", f"--random-order-seed={random.randrange(10**6)}"),
        "in order": (),
        "-n 2": ("-n2",),
        "-k": ("-k", "arrays or json"),
        "alone": ("test_workloads.py::test_arrays[0]",),
        "alone, dicts": ("test_workloads.py::test_dicts[0]",),
    }
    counts: dict[str, Counter[float]] = {name: Counter() for name in NAMES}
    for way, arguments in ways.items():
        found = workloads.values(workloads.run(repeated, *arguments))
        for name in NAMES:
            counts[name].update(found.get(name, ()))
        print(f"{way:26}", {name: dict(Counter(found.get(name, ()))) for name in NAMES})
    assert {name: len(seen) for name, seen in counts.items()} == dict.fromkeys(NAMES, 1)


def test_innocent_edits(tmp_path: Path) -> None:
    """Over 14 edits the counts stay within the limits, and the spread over layouts covers them."""
    counts: dict[str, list[float]] = {name: [] for name in NAMES}
    for edit in EDITS:
        found = workloads.measure(tmp_path / "edited", edit)
        for name in NAMES:
            counts[name] += found[name]
        print(f"{edit.name:48}", {name: found[name][0] for name in NAMES})
    workloads.write(tmp_path / "layouts", EDITS[0])
    results = workloads.run(tmp_path / "layouts", f"--memperf-layouts={LAYOUTS}")
    print(f"{'workload':10} {'spread over edits':>18} {'limit':>8} {'layouts':>30}")
    for result in results:
        name = result["test"].split("::test_")[1]
        faults = result["metrics"]["minor_faults"]
        low, high = min(faults["samples"]), max(faults["samples"])
        spread = workloads.spread(counts[name])
        sampled = f"{low:,} to {high:,} ± {faults['uncertainty']}"
        print(f"{name:10} {spread:>18.3%} {LIMITS[name]:>8.2%} {sampled:>30}")
        assert spread <= LIMITS[name]
        assert faults["uncertainty"] == (high - low) / 2
        assert high - low >= max(counts[name]) - min(counts[name])


@pytest.mark.parametrize("arguments", [(), ("-n2",)], ids=["alone", "n2"])
def test_empty_windows_in_children(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """An empty window reads 0 faults and 0 B, in many children and at 900 depths of calls."""
    turns = max(1, EMPTY // 900)
    source = EMPTY_WINDOWS.format(children=RUNS, turns=turns)
    workloads.write(tmp_path / "empty", Edit("empty", source))
    results = workloads.run(tmp_path / "empty", *arguments)
    windows = [each for each in results if each["window"] != "call" or "test_empty" in each["test"]]
    metrics = ("minor_faults", "retained_rss", "peak_rss")
    seen = Counter(tuple(each["metrics"][name]["value"] for name in metrics) for each in windows)
    print(f"\n{len(windows):,} empty windows:", dict(seen))
    assert len(windows) == RUNS + turns * 900
    assert dict(seen) == {(0, 0, 0): len(windows)}
