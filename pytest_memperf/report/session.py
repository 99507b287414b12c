"""The session's results: gathered from the reports, shown at the end, written where an option asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_memperf.model.result import Result
from pytest_memperf.options import resolve
from pytest_memperf.report import wire
from pytest_memperf.report.table import align

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


class Reporter:
    """Lives where the reports arrive: in the only process, or in the controller of xdist's workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.results: list[Result] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the results that a report carries."""
        self.results += getattr(report, "memperf", ())

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Name a failed budget apart from a failed assertion: M, MEMORY."""
        if getattr(report, "memperf_failed", False) and report.failed:
            return "failed", "M", "MEMORY"
        return None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the files that were asked for."""
        path = resolve(self._config, "json")
        if path:
            from pytest_memperf.report.json_file import write

            write(path, self.results)

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Show one block of results."""
        if not self.results:
            return
        terminalreporter.section("memperf")
        names = ("minor_faults", "peak_rss", "retained_rss", "wall_time")
        rows: list[tuple[str, ...]] = [("test", *names)]
        for result in self.results:
            shown = (
                result.metrics[name].metric.unit.format(result.metrics[name].value) if name in result.metrics else "-"
                for name in names
            )
            rows.append((f"{result.test} [{result.window}]", *shown))
        for line in align(rows):
            terminalreporter.write_line(line)


def register_reporter(config: pytest.Config) -> None:
    """Register what carries results between processes and, but for a worker, the reporter that gathers them."""
    manager = config.pluginmanager
    if manager.hasplugin("memperf-wire"):
        return
    manager.register(wire, "memperf-wire")
    if not hasattr(config, "workerinput"):
        manager.register(Reporter(config), "memperf-reporter")
