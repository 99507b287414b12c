"""Results on their way between processes: plain data in the report, objects at both ends."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from pytest_memperf.model.result import Result


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable(report: Any) -> Generator[None, dict[str, Any] | None, dict[str, Any] | None]:
    """Write the results of a report as plain data."""
    data = yield
    if data is not None and "memperf" in data:
        data["memperf"] = [result.as_json() for result in report.memperf]
    return data


@pytest.hookimpl(wrapper=True)
def pytest_report_from_serializable(data: dict[str, Any]) -> Generator[None, Any, Any]:
    """Make the results of a report objects again."""
    report = yield
    if report is not None and hasattr(report, "memperf"):
        report.memperf = [Result.from_json(result) for result in report.memperf]
    return report
