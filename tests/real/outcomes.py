"""A pytest plugin that writes what became of each test: ``pytest -p outcomes --outcomes=FILE``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


class Outcomes:
    """Collects ``{node id: {phase: outcome}}``; an expected failure is told apart from a skip."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._outcomes: dict[str, dict[str, str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the outcome of one phase."""
        expected = " (xfail)" if hasattr(report, "wasxfail") else ""
        self._outcomes.setdefault(report.nodeid, {})[report.when] = report.outcome + expected

    def pytest_sessionfinish(self) -> None:
        """Write them."""
        Path(self._path).write_text(json.dumps(self._outcomes), encoding="utf-8")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--outcomes``."""
    parser.addoption("--outcomes", metavar="FILE")


def pytest_configure(config: pytest.Config) -> None:
    """Start collecting."""
    path = config.getoption("--outcomes")
    if path:
        config.pluginmanager.register(Outcomes(path))
