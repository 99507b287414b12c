"""An example, copied as a user would copy it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cyx import page_cache

EXAMPLES = Path(__file__).parents[2] / "examples"
RunExample = Callable[..., pytest.RunResult]


@pytest.fixture
def run_example(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> RunExample:
    """Return a function that copies an example into an empty project, and runs it there, on little or as told."""

    def run(name: str, *options: str, **environment: str) -> pytest.RunResult:
        shutil.copytree(EXAMPLES / name, pytester.path / name, ignore=shutil.ignore_patterns("__pycache__"))
        smaller = dict(line.split("=") for line in (EXAMPLES / "smaller.env").read_text().split())
        for variable, value in {**smaller, **environment}.items():
            monkeypatch.setenv(variable, value)
        return pytester.runpytest_subprocess("-rs", "-p", "no:randomly", "--memperf-json=out.json", *options)

    return run


@pytest.fixture
def results(pytester: pytest.Pytester) -> Callable[[], list[dict[str, Any]]]:
    """Return a function that reads the results of the example."""

    def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((pytester.path / "out.json").read_text())["results"]
        return found

    return read


@pytest.fixture
def disk(pytester: pytest.Pytester) -> None:
    """Skip where neither of the folders that the examples choose from is on a disk."""
    if page_cache.memory_file_system(pytester.path) and page_cache.memory_file_system("/var/tmp"):
        pytest.skip("neither the folder for temporary files nor /var/tmp is on a disk: pytest --basetemp=FOLDER on one")
