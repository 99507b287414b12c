"""The session's results: gathered from the reports, shown at the end, written where an option asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_memperf.metrics.session import registry_of
from pytest_memperf.model.budget import Verdict
from pytest_memperf.model.metric import RECORDED
from pytest_memperf.report import wire
from pytest_memperf.report.benchmark_table import register_below
from pytest_memperf.report.block import Remarks, result_table
from pytest_memperf.report.columns import chosen_columns, chosen_order, default_names, unrecorded
from pytest_memperf.report.failure import colour
from pytest_memperf.report.junit import JunitProperties
from pytest_memperf.report.plural import counted
from pytest_memperf.report.progress import register_progress
from pytest_memperf.report.rows import BY_NAME, Rows, order
from pytest_memperf.report.side_by_side import SideBySide
from pytest_memperf.report.table import write_rows

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

LIMIT = 50
"""Rows of the table, and lines of remarks of a kind, without -v."""


class Reporter:
    """Lives where the reports arrive: in the only process, or in the controller of xdist's workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        sort = chosen_order(config)
        self._columns = chosen_columns(config)
        self._sorted_by = () if sort in (None, BY_NAME) else (sort,)
        self._verbosity: int = getattr(config.option, "verbose", 0)  # not there under -p no:terminal
        self._limit = None if self._verbosity > 0 else LIMIT
        self._rows = Rows(order(sort), self._limit)
        self._remarks = Remarks()
        self._checks = dict.fromkeys(Verdict, 0)
        self._side_by_side = SideBySide()
        self.wanted: set[str] = set()
        """The metrics that tests have asked for, or have budgets on."""

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the results that a report carries, last of all: pytest keeps the reports to the session's end."""
        results = report.__dict__.pop("memperf", None)
        if results is None or report.outcome == "rerun":  # type: ignore[comparison-overlap]  # the last run counts
            return
        among = report.__dict__.get("memperf_among", ())
        for result in results:
            if among:
                self._side_by_side.add(result, among)
            self._rows.add(result)
            self._remarks.add(result)
            self.wanted.update(result.requested)
            for check in result.checks:
                self.wanted.add(check.budget.metric.name)
                self._checks[check.verdict] += 1

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Name a failed budget apart from a failed assertion: M, MEMORY."""
        if "memperf_failed" in report.__dict__ and report.memperf_failed and report.failed:
            colour(report)  # the terminal asks for the status before anybody can show the failure
            return "failed", "M", "MEMORY"
        return None

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Show one block of results; one line under -q, nothing under -qq or --no-summary."""
        verbosity = self._verbosity
        if not self._rows.count or self._config.option.no_summary or verbosity < -1:
            return
        if verbosity < 0:
            terminalreporter.write_line(self._counts())
            return
        terminalreporter.write_sep("=", "memperf")
        rows = self._rows.first()
        for row in rows:
            self._remarks.add_unavailable(row)
        width = terminalreporter._tw.fullwidth if terminalreporter.isatty and verbosity == 0 else None
        registry = registry_of(self._config)
        names = default_names(rows, registry) if self._columns is None else self._columns
        names = list(dict.fromkeys([*names, *self._sorted_by]))
        table, left_out = result_table(rows, names, registry, self._rows.units, width)
        write_rows(terminalreporter.write, table)
        if left_out:
            terminalreporter.write_line(f"no room for {', '.join(left_out)}: -v shows all")
        if self._rows.count > len(rows):
            more = self._rows.count - len(rows)
            terminalreporter.write_line(f"... and {more:,} more: -v shows them, --memperf-json=FILE keeps them")
        told = {*self._rows.units, *(name for row in rows for name in row.unavailable)}
        for ratios, left in self._side_by_side.tables(names, self._limit):
            terminalreporter.write_line("")
            write_rows(terminalreporter.write, ratios)
            if left:
                terminalreporter.write_line(left)
        for name in unrecorded(names, registry, told):
            terminalreporter.write_line(f"{RECORDED}{name}: no test shown here recorded this", yellow=True)
        for line in self._remarks.lines(self._limit):
            terminalreporter.write_line(line, yellow=True)

    def _counts(self) -> str:
        counts = [f"{counted(count, 'budget')} {verdict.value}" for verdict, count in self._checks.items() if count]
        return f"memperf: {', '.join([counted(self._rows.count, 'result'), *counts])}"


def register_reporter(config: pytest.Config) -> None:
    """Register what carries results between processes and, but for a worker, the reporter that gathers them."""
    manager = config.pluginmanager
    if manager.hasplugin("memperf-wire"):
        return
    manager.register(wire, "memperf-wire")
    if not hasattr(config, "workerinput") and not manager.hasplugin("memperf-template"):
        reporter = Reporter(config)
        manager.register(reporter, "memperf-reporter")
        register_progress(config)
        register_below(config, reporter.wanted)
        if config.getoption("xmlpath", None):
            manager.register(JunitProperties(registry_of(config)), "memperf-junit")
