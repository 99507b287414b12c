"""The example ``file_access``, copied as a user would copy it, and run with a smaller file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cyx import page_cache

MIB = 1024 * 1024
Run = Callable[..., pytest.RunResult]


@pytest.mark.usefixtures("disk")
def test_holds_its_budgets(run_example: Run, results: Callable[[], list[dict[str, Any]]]) -> None:
    """Every test passes, none of its budgets is unchecked, and the table shows them."""
    result = run_example("file_access")

    result.assert_outcomes(passed=9, xfailed=1)
    result.stdout.fnmatch_lines(["*memperf*", "*test_map_and_touch[[]cold[]]*", "*test_read_in_blocks[[]warm[]]*"])
    by_test = {each["test"].split("::")[1]: each for each in results() if each["window"] == "memperf"}
    assert len(by_test) == 8
    assert {check["status"] for each in by_test.values() for check in each["checks"]} == {"passed"}
    mapped, read = by_test["test_map_and_touch[warm]"]["metrics"], by_test["test_read_in_blocks[warm]"]["metrics"]
    assert mapped["peak_rss"]["value"] == pytest.approx(16 * MIB, abs=mapped["peak_rss"]["uncertainty"])
    assert mapped["minor_faults"]["value"] > 100 > read["minor_faults"]["value"]


def test_leaves_nothing_behind(pytester: pytest.Pytester, run_example: Run) -> None:
    """The file is gone at the end."""
    folder = pytester.mkdir("disk")
    if page_cache.memory_file_system(folder):
        pytest.skip("the folder for temporary files is in memory")
    run_example("file_access", "-k", "in_blocks", FILE_ACCESS_FOLDER=str(folder)).assert_outcomes(
        passed=2, deselected=8
    )

    assert list(folder.iterdir()) == []


def test_says_when_there_is_no_disk(run_example: Run) -> None:
    """In memory the tests are skipped, and the reason names what to set."""
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK) or page_cache.memory_file_system(folder) is None:
        pytest.skip("/dev/shm is no file system in memory")
    result = run_example("file_access", FILE_ACCESS_FOLDER=str(folder))

    result.assert_outcomes(skipped=10)
    result.stdout.fnmatch_lines(["SKIPPED*in memory*set FILE_ACCESS_FOLDER*"])


@pytest.mark.usefixtures("disk")
def test_says_when_the_disk_is_full(run_example: Run) -> None:
    """Without room for the file the tests are skipped, and the reason says how much is left."""
    result = run_example("file_access", FILE_ACCESS_MIB=str(2**32))

    result.assert_outcomes(skipped=10)
    result.stdout.fnmatch_lines([f"SKIPPED* MiB left, the file needs {2**32}*FILE_ACCESS_MIB*"])
