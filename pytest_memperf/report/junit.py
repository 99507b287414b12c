"""Measured values as properties in pytest's JUnit XML."""

from __future__ import annotations

import pytest

from pytest_memperf.metrics import Registry
from pytest_memperf.report.columns import default_names
from pytest_memperf.report.rows import row_of


class JunitProperties:
    """Adds the values that the table shows to each measured test: ``memperf.WINDOW.METRIC``, in the metric's unit.

    pytest writes the properties of a test's teardown report; they wait here from the call to the teardown.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._waiting: dict[str, list[tuple[str, object]]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the values of the call, give them to the teardown."""
        rows = [row_of(result, {}) for result in getattr(report, "memperf", ())]
        if rows:
            names = default_names(rows, self._registry)
            self._waiting[report.nodeid] = [
                (f"memperf.{row.window}.{name}", row.values[name])
                for row in rows
                for name in names
                if name in row.values
            ]
        if report.when == "teardown":
            report.user_properties += self._waiting.pop(report.nodeid, ())
