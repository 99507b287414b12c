"""What the tests of process isolation share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

MARKED = """\
import os, signal, sys, time, unittest, warnings, logging
import pytest
pytestmark = pytest.mark.memperf(isolation="process")
"""


@pytest.fixture
def isolated(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Return a function that runs a module of isolated tests."""

    def run(text: str, *arguments: str, **files: str) -> pytest.RunResult:
        if files:
            pytester.makepyfile(**files)
        pytester.makepyfile(test_it=MARKED + text)
        return pytester.runpytest_subprocess(*arguments)

    return run


@pytest.fixture
def results(pytester: pytest.Pytester) -> Callable[[str], list[dict[str, Any]]]:
    """Return a function that reads a JSON file of results."""
    return lambda name="out.json": list(json.loads((pytester.path / name).read_text())["results"])
