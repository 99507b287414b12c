"""Three small workloads whose page faults are counted, and innocent edits of the module that holds them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("arrays", "dicts", "json")

HEAD = """\
import json

import numpy as np
import pytest

"""
ARRAYS = """
@pytest.mark.memperf(isolation="process")
def test_arrays():
    array = np.ones(200_000)
    for _ in range(5):
        array = array + 1
    assert array[0] == 6
"""
DICTS = """
@pytest.mark.memperf(isolation="process")
def test_dicts():
    rows = [{"number": number, "text": str(number) * 3} for number in range(20_000)]
    assert len(rows) == 20_000
"""
JSON = """
@pytest.mark.memperf(isolation="process")
def test_json():
    text = json.dumps([{"key": list(range(20)), "name": f"row {row}"} for row in range(2_000)])
    assert len(json.loads(text)) == 2_000
"""
CLASS = """
class Holder:
    def __init__(self):
        self.rows = {}

    def add(self, row):
        self.rows[row] = row
"""
MORE_TESTS = """
def test_one():
    pass


@pytest.mark.parametrize("value", range(30))
def test_two(value):
    pass
"""
MODULE = HEAD + ARRAYS + DICTS + JSON


@dataclass(frozen=True)
class Edit:
    """A change that does not change what the workloads do."""

    name: str
    source: str = MODULE
    file: str = "test_workloads.py"
    folder: str = ""
    environment: str = ""
    cold: bool = False
    """Whether the compiled module is removed before each run."""


def _functions(count: int) -> str:
    body = "    return [value + 1, 'x' * value]\n"
    return "".join(f"\n\ndef helper_{number}(value):\n{body}" for number in range(count))


EDITS = (
    Edit("none"),
    Edit("an import that is not used", "import decimal\n" + MODULE),
    Edit("three more imports", "import asyncio\nimport csv\nimport xml.etree.ElementTree\n" + MODULE),
    Edit("an import in front of NumPy that drags in many", "import unittest.mock\nimport email.message\n" + MODULE),
    Edit("a docstring for the module", '"""' + "What these tests are about, at some length.\n" * 40 + '"""\n' + MODULE),
    Edit("comments", MODULE.replace("\n\n", "\n\n# A remark that the compiler does not see.\n")),
    Edit("twenty functions", MODULE + _functions(20)),
    Edit("a class", MODULE + CLASS),
    Edit("a table at module level", MODULE + "\nTABLE = {number: str(number) for number in range(3_000)}\n"),
    Edit("the tests in another order", HEAD + JSON + DICTS + ARRAYS),
    Edit("two more tests", MODULE + MORE_TESTS),
    Edit("a longer file name", file="test_workloads_of_several_kinds_with_a_long_name.py"),
    Edit("a longer path", folder="a/rather/deeply/nested/folder/with/a/long/name"),
    Edit("a larger environment", environment="x" * 3_000),
    Edit("a cold .pyc", cold=True),
)
"""The first one is the module as it is; the other fourteen are the edits."""


def run(folder: Path, *arguments: str, environment: str = "") -> list[dict[str, Any]]:
    """Run pytest in the folder; return the results. AssertionError where a test fails."""
    out = folder / "results.json"
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    variables["MEMPERF_BENCH_PADDING"] = environment
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--memperf-json={out}", *arguments],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    results: list[dict[str, Any]] = json.loads(out.read_text())["results"]
    return results


def values(results: Sequence[dict[str, Any]], metric: str = "minor_faults") -> dict[str, list[float]]:
    """Return the values of a metric by workload."""
    found: dict[str, list[float]] = {}
    for result in results:
        name = result["test"].split("::test_")[-1].split("[")[0]
        found.setdefault(name, []).append(result["metrics"][metric]["value"])
    return found


def write(folder: Path, edit: Edit) -> Path:
    """Write the edited module; return the folder to run pytest in."""
    shutil.rmtree(folder, ignore_errors=True)
    inner = folder / edit.folder
    inner.mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (inner / edit.file).write_text(edit.source)
    return folder


def measure(folder: Path, edit: Edit, *arguments: str) -> dict[str, list[float]]:
    """Return the faults of the workloads in an edited module, compiled beforehand unless the edit says otherwise."""
    write(folder, edit)
    if not edit.cold:
        run(folder, environment=edit.environment)
    return values(run(folder, *arguments, environment=edit.environment))


def spread(counts: Sequence[float]) -> float:
    """Return the range of the counts over the smallest of them."""
    return (max(counts) - min(counts)) / min(counts)
