"""Allocations as metrics of a window, by what is known of the work in it."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_memperf.measure.settings import Settings
from pytest_memperf.measure.window import Window
from pytest_memperf.metrics import BUILT_IN, Registry

NAMES = ("allocations", "frees", "allocated_bytes", "peak_heap", "live_blocks")
malloc, free = ctypes.pythonapi.PyMem_Malloc, ctypes.pythonapi.PyMem_Free
malloc.restype, malloc.argtypes, free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]


def window(**keywords: Any) -> Window:
    """Return a window that takes them."""
    return Window("test", Settings(metrics=NAMES, requested=NAMES, **keywords), Registry(BUILT_IN))


def test_an_empty_window() -> None:
    """It reads 0 of each, in 100 of 100."""
    for _ in range(100):
        empty = window()
        with empty:
            pass
        assert {name: getattr(empty, name) for name in NAMES} == dict.fromkeys(NAMES, 0)


def test_an_empty_call() -> None:
    """So does one round a function that does nothing."""

    def nothing() -> None:
        """Do nothing."""

    nothing()  # whoever follows lines keeps something for each function, from its first call on
    empty = window()
    empty.call(nothing, (), {})
    assert {name: getattr(empty, name) for name in NAMES} == dict.fromkeys(NAMES, 0)


def test_blocks_of_known_sizes() -> None:
    """Five of 1 MiB, of which three go again, the other ones last: bytes exact to what ctypes makes for itself."""
    with window() as known:
        blocks = [malloc(1 << 20) for _ in range(5)]
        for block in blocks[:3]:
            free(block)
    for block in blocks[3:]:
        free(block)

    assert 5 << 20 <= known.allocated_bytes < (5 << 20) + 16_384
    assert 5 << 20 <= known.peak_heap < (5 << 20) + 16_384
    assert known.allocations - known.frees == known.live_blocks
    assert 2 <= known.live_blocks <= 12
    assert known.allocations < 100


def test_rounds() -> None:
    """Each counts for itself."""
    kept: list[bytearray] = []
    several = window(rounds=3)
    several.repeat(lambda: kept.append(bytearray(100_000)), (), {})
    samples = several.measured()["allocated_bytes"].samples
    assert len(samples) == 3
    assert all(100_000 < sample < 101_000 for sample in samples)


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_budgets(pytester: pytest.Pytester, isolation: str) -> None:
    """One of 0 holds for a test that allocates nothing, and fails for one that makes an object."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.memperf(max_allocations=0, max_frees=0, max_peak_heap=0)
        def test_nothing():
            pass

        @pytest.mark.memperf(max_allocations=0)
        def test_something():
            object()

        @pytest.mark.memperf(max_live_blocks=0, max_allocated_bytes="2 KiB")
        def test_comes_and_goes():
            for _ in range(10):
                bytearray(100)
        """
    )
    result = pytester.runpytest_subprocess(f"--memperf-isolation={isolation}", "--memperf-json=out.json")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["MEMORY *test_something - allocations 1 is over max_allocations = 0"])
    found = json.loads(Path(pytester.path / "out.json").read_text())["results"]
    counts = [each["metrics"]["allocations"]["value"] for each in found if "allocations" in each["metrics"]]
    assert counts[:2] == [0, 1]


def test_isolated_counts_are_the_same_again(pytester: pytest.Pytester) -> None:
    """The same test is the same number of allocations, whatever ran before it."""
    pytester.makepyfile(
        """
        import json
        import pytest

        def test_other():
            [str(i) for i in range(10_000)]

        @pytest.mark.memperf(metrics=["allocations", "peak_heap"])
        def test_it():
            json.loads(json.dumps({str(i): list(range(i)) for i in range(100)}))
        """
    )
    found = []
    for selected in ((), ("-k", "test_it"), ()):
        pytester.runpytest_subprocess("--memperf-isolation=process", "--memperf-json=out.json", *selected)
        results = json.loads((pytester.path / "out.json").read_text())["results"]
        found.append({name: results[-1]["metrics"][name]["value"] for name in ("allocations", "peak_heap")})
    assert found[0] == found[1] == found[2]
    assert found[0]["allocations"] > 1000
