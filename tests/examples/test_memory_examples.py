"""The examples about memory that need neither nodes nor a cold cache, with less of it."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pytest_memperf.malloc import MALLOCS, preload

MIB = 1024 * 1024
Results = Callable[[], list[dict[str, Any]]]
Run = Callable[..., pytest.RunResult]


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize(("name", "tests"), [("madvise", 3), ("sliding_window", 6), ("shared_mapping", 2)])
def test_holds_its_budgets(run_example: Run, results: Results, name: str, tests: int) -> None:
    """Every test passes, and none of its budgets is unchecked."""
    run_example(name).assert_outcomes(passed=tests)
    statuses = [check["status"] for each in results() for check in each["checks"]]
    assert len(statuses) >= tests
    assert set(statuses) == {"passed"}


@pytest.mark.usefixtures("disk")
def test_a_sparse_file_that_is_too_large(run_example: Run) -> None:
    """Where the file system has none of that size the test is skipped, and the reason names what to set."""
    result = run_example("sliding_window", "-k", "sparse", SLIDING_WINDOW_SPARSE_MIB=str(2**42))
    result.assert_outcomes(skipped=1, deselected=5)
    result.stdout.fnmatch_lines(["SKIPPED*: set SLIDING_WINDOW_SPARSE_MIB to a smaller size"])


@pytest.mark.usefixtures("disk")
def test_a_stream_needs_a_window_whatever_the_size(run_example: Run, results: Results) -> None:
    """The peak of the file that is ten times as large is the same, and a fraction of it."""
    run_example("sliding_window")
    peaks = {each["window"]: each["metrics"]["peak_rss"]["value"] for each in results() if "footprint" in each["test"]}
    assert peaks["whole"] < 10 * MIB
    assert abs(peaks["whole"] - peaks["tenth"]) <= 2 * MIB


def test_a_mapping_is_shared(run_example: Run, results: Results) -> None:
    """One process alone has all of the file, of four each a quarter, and together they have it once."""
    run_example("shared_mapping", "-k", "there_once")
    figures = next(each["metrics"] for each in results() if each["window"] == "call")
    assert figures["alone"]["value"] == pytest.approx(16 * MIB, rel=0.05)
    assert figures["share_of_one"]["value"] == pytest.approx(4 * MIB, rel=0.2)
    assert figures["all_together"]["value"] == pytest.approx(16 * MIB, rel=0.2)


@pytest.mark.parametrize(
    ("name", "variable", "tests"), [("madvise", "MADVISE_FOLDER", 2), ("sliding_window", "SLIDING_WINDOW_FOLDER", 6)]
)
def test_says_when_there_is_no_disk(run_example: Run, name: str, variable: str, tests: int) -> None:
    """In memory, or in a folder that is not there, the tests are skipped, and the reason names what to set."""
    result = run_example(name, **{variable: "/no/such/folder"})
    result.assert_outcomes(skipped=tests, passed=1 if name == "madvise" else 0)
    result.stdout.fnmatch_lines([f"SKIPPED*{variable}*"])


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize(
    ("name", "variable"), [("madvise", "MADVISE_FOLDER"), ("sliding_window", "SLIDING_WINDOW_FOLDER")]
)
def test_leaves_nothing_behind(pytester: pytest.Pytester, run_example: Run, name: str, variable: str) -> None:
    """The files are gone at the end."""
    folder = pytester.mkdir("disk")
    run_example(name, **{variable: str(folder)})
    assert list(folder.iterdir()) == []


def test_each_page_is_a_fault(run_example: Run, results: Results) -> None:
    """Whatever this machine has of the kinds of pages: as many faults as pages, and no budget exceeded."""
    result = run_example("huge_pages", "-k", "not GiB")
    result.assert_outcomes(**{**result.parseoutcomes(), "deselected": 3, "failed": 0, "errors": 0})
    faults = {
        each["test"].rpartition("[")[2]: each["metrics"]["minor_faults"]["value"]
        for each in results()
        if each["window"] == "touch"
    }
    pages = 8 * MIB // mmap.PAGESIZE
    assert pages <= faults["small]"] < pages + 64
    assert faults.get("2 MiB]", 4) in range(4, 68)
    assert faults.get("transparent]", 4) < pages / 10


def test_nodes_that_are_there(run_example: Run) -> None:
    """What one node is enough for passes anywhere; what needs a second one is skipped where there is none."""
    outcomes = run_example("numa").parseoutcomes()
    assert outcomes["passed"] >= 3
    assert outcomes["passed"] + outcomes.get("skipped", 0) == 7


def test_pool_loses_nothing(run_example: Run, results: Results) -> None:
    """The example checks its contents; the pool takes no memory while it works, on whatever pages there are."""
    outcomes = run_example("buffer_pool").parseoutcomes()
    assert outcomes["passed"] >= 1
    assert outcomes["passed"] + outcomes.get("skipped", 0) == 3
    retained = [each["metrics"]["retained_rss"]["value"] for each in results() if each["window"] == "updates"]
    assert len(retained) == outcomes["passed"]
    assert max(retained) < 2 * MIB


def test_the_same_work_under_each_library(run_example: Run, results: Results) -> None:
    """Each that is installed serves its tests, and holds their budgets; another one is skipped with its package."""
    installed = {name for name, malloc in MALLOCS.items() if preload.lack(malloc) is None}
    result = run_example("malloc_libraries")
    skipped = 3 * (len(MALLOCS) - len(installed))
    result.assert_outcomes(passed=3 * len(installed), skipped=skipped)
    assert {each["allocator"] for each in results()} == installed
    if skipped:
        result.stdout.fnmatch_lines(["SKIPPED*is not installed: apt-get install *"])


def test_no_frame_allocates(run_example: Run, results: Results) -> None:
    """The loop with a pool allocates nothing; the careless one 8 blocks a frame from Python 3.12 on, 9 before."""
    run_example("game_loop").assert_outcomes(passed=2)
    counts = {each["window"]: each["metrics"].get("allocations", {}).get("value") for each in results()}
    assert counts["memperf"] == 0
    assert counts["frames"] // 500 == (8 if sys.version_info >= (3, 12) else 9)  # a comprehension was a function
