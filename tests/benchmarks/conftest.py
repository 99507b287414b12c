"""The benchmarks take minutes, so they run only where this folder is named: ``pytest tests/benchmarks``."""

from __future__ import annotations

import sys
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
