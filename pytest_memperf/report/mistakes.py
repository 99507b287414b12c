"""A user's mistake that only shows in a test's run: its one line in the report, no traceback."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.report.failure import mistake_failure


def word_mistake(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Have the report of a mistake show its one line; a no-op for any other report."""
    if call.excinfo is not None and isinstance(call.excinfo.value, UsageMistake):
        report.longrepr = mistake_failure(item, call.excinfo.value)


class Mistakes:
    """Words the mistakes of a session that measures nothing."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Show a mistake as its one line."""
        report = yield
        word_mistake(item, call, report)
        return report


def register_mistakes(config: pytest.Config) -> None:
    """Have mistakes worded from here on.

    Where something is measured, Measuring does it, for each wrapper of the hook costs every test; elsewhere the first
    test that can make one asks for it, and a session without any pays nothing.
    """
    manager = config.pluginmanager
    if not (manager.hasplugin("memperf-measuring") or manager.hasplugin("memperf-mistakes")):
        manager.register(Mistakes(), "memperf-mistakes")
