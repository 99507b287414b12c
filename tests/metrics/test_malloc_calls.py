"""Metrics of what goes through malloc: in children that are started for it, and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from cyx.probes import Interval, malloc_calls
from pytest_memperf.malloc import MALLOCS, counting, preload
from pytest_memperf.metrics.malloc_calls import MallocCalls

NAMES = (
    *("malloc_calls", "free_calls", "realloc_calls", "malloc_bytes"),
    *("malloc_peak", "small_mallocs", "medium_mallocs", "large_mallocs"),
)
HERE = [name for name, malloc in MALLOCS.items() if preload.lack(malloc) is None]
SUITE = f"""
import ctypes
import pytest

program = ctypes.PyDLL(None)
program.malloc.restype, program.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
program.realloc.restype, program.realloc.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t]
program.free.argtypes = [ctypes.c_void_p]

@pytest.mark.memperf(max_malloc_calls=0, metrics={NAMES}, isolation="process")
def test_empty():
    pass

@pytest.mark.memperf(max_malloc_calls=6, metrics={NAMES})
@pytest.mark.memperf_allocators(*{HERE})
def test_sizes():
    for size in (1, 512, 513, 1 << 17, (1 << 17) + 1):
        program.free(program.malloc(size))
    program.free(program.realloc(program.malloc(100), 200))

@pytest.mark.memperf(max_malloc_calls=1, isolation="process")
def test_too_many():
    program.free(program.malloc(100))
    program.free(program.malloc(100))

@pytest.mark.memperf(metrics={NAMES}, isolation="process")
def test_inner_windows(memperf):
    block = program.malloc(1_000_000)
    with memperf.window("inner", metrics={NAMES}):
        program.free(program.malloc(2_000_000))
    program.free(block)
    with memperf.window("empty", metrics={NAMES}):
        pass

@pytest.mark.memperf(max_malloc_calls=0, isolation="inline")
def test_inline():
    pass

@pytest.mark.memperf(isolation="process")
def test_uncounted():
    assert not hasattr(program, "memperf_malloc_read")
"""
Results = dict[tuple[str, str], dict[str, Any]]
"""By test and window."""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Results]:
    """Return what the suite said, and its results."""
    folder = tmp_path_factory.mktemp("malloc_calls")
    (folder / "test_it.py").write_text(SUITE)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "-p memperf"}
    command = [sys.executable, "-m", "pytest", "-q", "--memperf-json=out.json", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    results = json.loads((folder / "out.json").read_text())["results"]
    return done.stdout, {(each["test"].partition("::")[2], each["window"]): each for each in results}


def values(result: dict[str, Any]) -> list[int]:
    """Return the counts in the order of their names."""
    return [result["metrics"][name]["value"] for name in NAMES]


def test_an_empty_window(ended: tuple[str, Results]) -> None:
    """It has nothing of all that."""
    assert values(ended[1]["test_empty", "call"]) == [0] * 8
    assert values(ended[1]["test_inner_windows", "empty"]) == [0] * 8


@pytest.mark.parametrize("name", HERE)
def test_each_library(ended: tuple[str, Results], name: str) -> None:
    """The calls are the same under each, in sum and by size; the peak is the largest block as the library rounds it."""
    result = ended[1][f"test_sizes[{name}]", "call"]
    assert result["allocator"] == name
    *counts, peak, small, medium, large = values(result)
    assert counts == [6, 6, 1, 1 + 512 + 513 + 2 * (1 << 17) + 1 + 300]
    assert (small, medium, large) == (3, 2, 1)
    assert (1 << 17) < peak <= (1 << 17) * 1.5


def test_a_budget(ended: tuple[str, Results]) -> None:
    """It fails beyond its limit, and alone asks for a process in which malloc is counted."""
    output, results = ended
    assert "malloc_calls 2 is over max_malloc_calls = 1" in output
    assert results["test_too_many", "call"]["checks"][0]["status"] == "failed"


def test_an_inner_windows_peak_is_the_outer_ones_too(ended: tuple[str, Results]) -> None:
    """It begins the mark anew, and nothing of the outer one's is lost."""
    _, results = ended
    inner = results["test_inner_windows", "inner"]["metrics"]["malloc_peak"]["value"]
    outer = results["test_inner_windows", "call"]["metrics"]["malloc_peak"]["value"]
    assert 2_000_000 <= inner < 2_200_000
    assert inner + 1_000_000 <= outer < inner + 1_200_000
    assert results["test_inner_windows", "call"]["metrics"]["large_mallocs"]["value"] == 2


def test_inline(ended: tuple[str, Results]) -> None:
    """There is a reason that names the mend, and the budget is unchecked; so says the doctor."""
    result = ended[1]["test_inline", "call"]
    assert "with isolation='process'" in result["unavailable"]["malloc_calls"]
    assert result["checks"][0]["status"] == "unchecked"
    if not malloc_calls.counted():
        assert set(MallocCalls.unavailable()) == set(NAMES)


def test_an_isolated_test_that_does_not_ask(ended: tuple[str, Results]) -> None:
    """It runs in a process without the library: only those named here fail."""
    assert "1 failed" in ended[0]
    assert ("test_uncounted", "call") in ended[1]


@pytest.mark.parametrize("name", HERE)
def test_empty_intervals(name: str) -> None:
    """Of 1,000 each has no call, no byte and no fault, under every library."""
    program = """
from cyx.probes import Interval
seen = set()
for number in range(1000):
    interval = Interval()
    interval.count_mallocs = True
    with interval:
        pass
    if any(interval.mallocs.values()) or number > 10 and interval.minor_faults:
        raise SystemExit(f"{interval.mallocs} {interval.minor_faults}")
print(len(interval.mallocs))
"""
    environment = counting.environment_counted(preload.environment_under(MALLOCS[name], os.environ))
    assert subprocess.check_output([sys.executable, "-c", program], env=environment, text=True) == "8\n"


def test_an_interval_that_cannot_count() -> None:
    """It has none, and one that was not asked has none either."""
    for asked in (True, False):
        interval = Interval()
        interval.count_mallocs = asked
        with interval:
            pass
        assert (interval.mallocs is None) or (asked and malloc_calls.counted())
