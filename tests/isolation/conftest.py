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


@pytest.fixture(autouse=True)
def only_this_plugin(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the sessions inside the tests load no other plugin: they start several times as fast."""
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")  # first: it removes PYTEST_ADDOPTS
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p memperf")


@pytest.fixture
def every_plugin(only_this_plugin: None, monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    """Have them load what is installed after all, in the order of the file."""
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:randomly -p no:random_order")
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")


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
