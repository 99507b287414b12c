"""A pytest plugin that marks every other test and times each: ``pytest -p halves --half=0 --seconds=FILE``.

Two sessions, one for each half, time every test both marked and not. What the machine does meanwhile it does to both
halves alike, for they take turns test by test.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Generator
from pathlib import Path

import pytest


def cpu_seconds() -> float:
    """Return the CPU time of this process and its reaped children, from getrusage(2)."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


class Halves:
    """Marks the tests at even or odd places; collects the seconds of each."""

    def __init__(self, path: str, half: int) -> None:
        self._path = path
        self._half = half
        self._seconds: list[float] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Mark a half, where the plugin is there to measure it."""
        if config.pluginmanager.hasplugin("memperf"):
            for item in items[self._half :: 2]:
                item.add_marker("memperf")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, object, object]:
        """Time all that a test is."""
        began = cpu_seconds()
        try:
            return (yield)
        finally:
            self._seconds.append(cpu_seconds() - began)

    def pytest_sessionfinish(self) -> None:
        """Write the seconds, in the order of the tests."""
        Path(self._path).write_text(json.dumps(self._seconds), encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--seconds`` and ``--half``."""
    parser.addoption("--seconds", metavar="FILE")
    parser.addoption("--half", type=int, choices=(0, 1), default=0)


def pytest_configure(config: pytest.Config) -> None:
    """Start timing."""
    path = config.getoption("--seconds")
    if path:
        config.pluginmanager.register(Halves(path, config.getoption("--half")))
