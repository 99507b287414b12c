"""The example ``file_access``, copied as a user would copy it, and run with a smaller file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cyx import page_cache

MIB = 1024 * 1024
OVER_ONE_FILE = "file_access/test_file_access.py"
Run = Callable[..., pytest.RunResult]


@pytest.mark.usefixtures("disk")
def test_holds_its_budgets(run_example: Run, results: Callable[[], list[dict[str, Any]]]) -> None:
    """Every test passes, none of its budgets is unchecked, and the table shows them."""
    result = run_example("file_access")

    result.assert_outcomes(passed=24, xfailed=1)
    result.stdout.fnmatch_lines(["*memperf*", "*test_map_and_touch[[]cold[]]*", "*test_read_in_blocks[[]warm[]]*"])
    by_test = {each["test"].split("::")[1]: each for each in results() if each["window"] == "memperf"}
    assert len(by_test) == 10
    assert {check["status"] for each in by_test.values() for check in each["checks"]} == {"passed"}
    mapped, read = by_test["test_map_and_touch[warm]"]["metrics"], by_test["test_read_in_blocks[warm]"]["metrics"]
    assert mapped["peak_rss"]["value"] == pytest.approx(16 * MIB, abs=mapped["peak_rss"]["uncertainty"])
    assert mapped["minor_faults"]["value"] > 100 > read["minor_faults"]["value"]


def test_a_copy_for_each_process_or_one_for_all(run_example: Run, results: Callable[[], list[dict[str, Any]]]) -> None:
    """The example finds what it is about: one copy or four, a fault for each small file or none."""
    run_example("file_access", "file_access/test_choice.py").assert_outcomes(passed=15)
    figures = {each["test"].split("::")[1]: each["metrics"] for each in results()}
    together = {name: row["all_together"]["value"] / (4 * MIB) for name, row in figures.items() if "processes" in name}
    assert together["test_processes[read-4]"] == pytest.approx(4, rel=0.1)
    assert together["test_processes[chosen-4]"] == pytest.approx(1, rel=0.1)
    faults = [figures[f"test_small_files[{way}]"]["minor_faults"]["value"] for way in ("read", "map")]
    assert faults[0] < 64 < 512 <= faults[1]


def test_leaves_nothing_behind(pytester: pytest.Pytester, run_example: Run) -> None:
    """The file is gone at the end."""
    folder = pytester.mkdir("disk")
    if page_cache.memory_file_system(folder):
        pytest.skip("the folder for temporary files is in memory")
    run_example("file_access", "-k", "in_blocks", FILE_ACCESS_FOLDER=str(folder)).assert_outcomes(
        passed=2, deselected=23
    )

    assert list(folder.iterdir()) == []


def test_says_when_there_is_no_disk(run_example: Run) -> None:
    """In memory the tests are skipped, and the reason names what to set."""
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK) or page_cache.memory_file_system(folder) is None:
        pytest.skip("/dev/shm is no file system in memory")
    result = run_example("file_access", OVER_ONE_FILE, FILE_ACCESS_FOLDER=str(folder))

    result.assert_outcomes(skipped=10)
    result.stdout.fnmatch_lines(["SKIPPED*in memory*set FILE_ACCESS_FOLDER*"])


@pytest.mark.usefixtures("disk")
def test_says_when_the_disk_is_full(run_example: Run) -> None:
    """Without room for the file the tests are skipped, and the reason says how much is left."""
    result = run_example("file_access", OVER_ONE_FILE, FILE_ACCESS_MIB=str(2**32))

    result.assert_outcomes(skipped=10)
    result.stdout.fnmatch_lines([f"SKIPPED* MiB left, the file needs {2**32}*FILE_ACCESS_MIB*"])
