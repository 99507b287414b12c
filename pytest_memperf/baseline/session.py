"""--memperf-save and --memperf-compare in a session: the run is kept, and told apart from an earlier one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_memperf.baseline.comparing import compare
from pytest_memperf.baseline.file_store import FOLDER, platform
from pytest_memperf.baseline.reference import Baseline, find, none_kept
from pytest_memperf.baseline.storage import store_at
from pytest_memperf.baseline.store import Store
from pytest_memperf.metrics.session import metric_named, registry_of
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import Result
from pytest_memperf.options import resolve, spelling
from pytest_memperf.report.comparison.terminal import write
from pytest_memperf.report.comparison.texts import headline, summary
from pytest_memperf.report.json_report import BROKEN_OFF, JsonReport, MeasuredElsewhere, begun, register_worker
from pytest_memperf.report.session import LIMIT

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


def register_baseline(config: pytest.Config) -> None:
    """Keep and compare the session's results where options say so. UsageMistake where that is bound to fail."""
    name, reference = resolve(config, "save"), resolve(config, "compare")
    saves = name is not None or resolve(config, "autosave")
    if register_worker(config):
        return
    store = store_of(config)
    if reference is not None:
        try:
            found = find(reference, store, config.rootpath)
            if not found.runs and os.path.isdir(reference):  # ``--memperf-compare tests`` is soon typed
                raise UsageMistake("this is a folder: name a run or a file, or put tests before the option")
        except UsageMistake as mistake:
            raise UsageMistake(f"{spelling(config, 'compare')}={reference}: {mistake}") from None
        limits = resolve(config, "compare-fail") or Limits()
        config.pluginmanager.register(ComparingSession(config, reference, found, limits), "memperf-compare")
    if saves:
        option = "--memperf-save" if name is not None else "--memperf-autosave"
        config.pluginmanager.register(SavingSession(config, store, name or None, option), "memperf-save")


def check_limits(config: pytest.Config) -> None:
    """Raise UsageMistake for a limit on a metric that no test can have, or in another unit than the metric's."""
    limits = resolve(config, "compare-fail") or Limits()
    for limit in (limits.of or {}).values():
        if not limit.recorded:
            metric_named(limit.metric, "compare-fail", config)
    try:
        limits.check_units(registry_of(config))
    except UsageMistake as mistake:
        raise UsageMistake(f"{spelling(config, 'compare-fail')}={mistake}") from None


def store_of(config: pytest.Config) -> Store:
    """Return the store of --memperf-storage: a path of the command line begins where that was typed."""
    given = config.getoption("--memperf-storage") is not None
    folder = config.invocation_params.dir if given else config.rootpath
    return store_at(resolve(config, "storage") or FOLDER, folder, platform())


class SavingSession(JsonReport):
    """Keeps the run in the store, unless a test failed: a baseline is what others are held to."""

    def __init__(self, config: pytest.Config, store: Store, name: str | None, option: str) -> None:
        super().__init__(config, store.save(begun(config, name)), option)
        self._taken = 0
        self._perturbed: str | None = None
        self._told: str | None = None
        self._interrupted = False

    def pytest_keyboard_interrupt(self) -> None:
        """Remember it: ``pytest.exit`` may name any exit code, 0 too."""
        self._interrupted = True

    def takes(self, result: Result) -> bool:
        """Leave out what a debugger or coverage changed."""
        self._perturbed = self._perturbed or result.perturbed
        self._taken += result.perturbed is None
        return result.perturbed is None

    def refusal(self, exitstatus: int) -> str | None:
        """Return why nothing is kept."""
        if exitstatus == pytest.ExitCode.TESTS_FAILED:
            return "a test failed, or a metric became worse"
        if exitstatus == pytest.ExitCode.INTERRUPTED or self._interrupted:
            return "the session was interrupted"
        if self._taken == 0:
            return self._perturbed or "nothing was measured"
        return super().refusal(exitstatus)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Finish the file, and remember what to tell. A comparison has had its say in the session's own status."""
        super().pytest_sessionfinish(session, session.exitstatus)
        reason = self.refusal(session.exitstatus)
        if reason:
            self._told = f"not saved: {reason} (--memperf-json=FILE keeps results in any case)"
        elif self._mistake is None:
            self._told = f"saved as {self._file.path}"

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Tell what the run is called now, or why it is not kept."""
        if self._told and _verbosity(self._config) > -2:
            terminalreporter.write_line(f"memperf: {self._told}")


class ComparingSession(MeasuredElsewhere):
    """Compares the results with a baseline at the end; a regression fails a session in which all tests passed."""

    def __init__(self, config: pytest.Config, reference: str, baseline: Baseline, limits: Limits) -> None:
        super().__init__(config)
        self._reference = reference
        self._baseline = baseline
        self._limits = limits
        self._results: list[Result] = []
        self._outcome: Outcome | None = None
        self._mistake: str | None = None
        self._broken_off = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the results that a report carries; the last run of a test counts."""
        if report.outcome != "rerun" and self._baseline.runs:  # type: ignore[comparison-overlap]
            self._results += getattr(report, "memperf", ())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Compare, and let a regression be exit code 1."""
        self._broken_off = exitstatus in BROKEN_OFF
        if self._broken_off or not self._baseline.runs:
            return
        environment = Environment.from_json(self.environment())
        verbose = _verbosity(self._config) > 0
        try:
            self._outcome = compare(self._baseline.runs, self._results, environment, self._limits, keep_same=verbose)
        except UsageMistake as mistake:  # the unit of a figure that a test records is known now
            self._mistake = f"{spelling(self._config, 'compare-fail')}={mistake}"
            if exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR
            return
        self._outcome.base, self._outcome.head = self._baseline.described, "this session"
        if self._outcome.failing and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Show what changed."""
        verbosity = _verbosity(self._config)
        if self._config.option.no_summary or verbosity < -1:
            return
        for remark in self._baseline.remarks:
            terminalreporter.write_line(f"memperf: {remark}", yellow=True)
        outcome = self._outcome
        if self._mistake is not None or self._broken_off:
            return
        if outcome is None:
            told = f"{none_kept(self._reference)}: nothing to compare with"
            terminalreporter.write_line(f"memperf: {told}", yellow=True)
        elif verbosity < 0:
            fails = f". {headline(outcome)}" if outcome.failing else ""
            told = f"memperf: compared with {outcome.base}: {summary(outcome)}{fails}"
            terminalreporter.write_line(told, red=bool(fails))
        else:
            terminalreporter.write_sep("=", "memperf: comparison")
            write(terminalreporter.write, outcome, None if verbosity > 0 else LIMIT)
        for limit in (self._limits.of or {}).values():
            if outcome is not None and limit.recorded and limit.metric not in outcome.metrics:
                told = f"{spelling(self._config, 'compare-fail')}={limit}: no test that was compared recorded this"
                terminalreporter.write_line(f"memperf: {told}", yellow=True)

    def pytest_unconfigure(self) -> None:
        """Say what went wrong as the last line."""
        if self._mistake is not None:
            sys.stderr.write(f"ERROR: {self._mistake}\n")


def _verbosity(config: pytest.Config) -> int:
    verbosity: int = getattr(config.option, "verbose", 0)  # not there under -p no:terminal
    return verbosity
