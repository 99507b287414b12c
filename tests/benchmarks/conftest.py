"""The benchmarks take minutes, so they run only where this folder is named: ``pytest tests/benchmarks``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # what the benchmarks share


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what the command line does not name."""
    named = any("benchmarks" in str(argument) for argument in config.invocation_params.args)
    return None if named else True


@pytest.fixture(autouse=True)
def only_this_plugin() -> None:
    """Have the sessions of the benchmarks load what is installed, as those of users do."""


@pytest.fixture
def one_processor() -> Iterator[None]:
    """Have all sides run on the same processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)
