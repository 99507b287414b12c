"""A pytest plugin that leaves every other test unmeasured and times each: ``pytest -p halves --half=0 --seconds=FILE``.

Two sessions, one for each half, time every test both measured and not. What the machine does meanwhile it does to both
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
    """Leaves tests at even or odd places unmeasured; collects the seconds of each."""

    def __init__(self, path: str, half: int) -> None:
        self._path = path
        self._half = half
        self._seconds: list[float] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take from the other half what ``--memperf-all`` gave to all."""
        if session.config.pluginmanager.hasplugin("memperf"):
            from pytest_memperf.measuring import SETTINGS

            for item in session.items[1 - self._half :: 2]:
                del item.stash[SETTINGS]

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
