"""The hooks round each measured test; registered only in a session that measures something."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest
from _pytest.unittest import TestCaseFunction

from pytest_memperf.fixtures.benchmark_partner import FIXTURE, join, note_metrics
from pytest_memperf.isolation.handover import ISOLATED, UNDER
from pytest_memperf.marker import is_measured, refuse_idle_repeats, settings_of
from pytest_memperf.measure.frame_room import with_frame_room
from pytest_memperf.measure.measurement import NOTE, RESULTS, Measurement
from pytest_memperf.measure.settings import Settings
from pytest_memperf.metrics.session import registry_of
from pytest_memperf.model.budget import Check, Status
from pytest_memperf.model.errors import MemoryBudgetExceeded, MemoryBudgetWarning, UsageMistake
from pytest_memperf.model.result import Result
from pytest_memperf.options import resolve
from pytest_memperf.report.failure import budget_failure
from pytest_memperf.report.mistakes import word_mistake

SETTINGS = pytest.StashKey[Settings]()
"""The settings of a test that is measured."""
MISTAKE = pytest.StashKey[UsageMistake]()
"""What is wrong with a test's marker, where that cannot end the session."""
MEASUREMENT = pytest.StashKey[Measurement]()
"""The measurement of the run that is under way; a rerun gets a new one."""


def begin_measurement(item: pytest.Item) -> Measurement:
    """Return a new measurement of the test. UsageMistake for a test that nobody knew would be measured."""
    registry = registry_of(item.config)
    settings = item.stash.get(SETTINGS, None)
    if settings is None:
        if not resolve(item.config, "disable"):
            raise UsageMistake(
                "the memperf fixture came too late to measure this test: take it as an argument, or mark the test"
            )
        settings = settings_of(item, registry)
    measurement = item.stash[MEASUREMENT] = Measurement(item.nodeid, settings, registry)
    if NOTE in item.stash:
        measurement.notes.append(item.stash[NOTE])
    return measurement


def _joined_benchmark(item: pytest.Item, measurement: Measurement) -> Any:
    """Return pytest-benchmark's fixture, joined, where a test that asks to be measured takes it."""
    if FIXTURE not in getattr(item, "fixturenames", ()) or not is_measured(item):
        return None
    benchmark = item.funcargs.get(FIXTURE)  # type: ignore[attr-defined]
    if type(benchmark).__name__ != "BenchmarkFixture":  # somebody else's fixture of that name
        return None
    join(benchmark, measurement)
    return benchmark


def _run_measured(item: pytest.Item, runtest: Callable[[], None], measurement: Measurement) -> None:
    """Run the test with the window as the innermost wrapper round its function, whoever calls that."""
    function = getattr(item, "obj", None)
    if not callable(function):
        measurement.around(runtest)()
        return
    if inspect.iscoroutinefunction(function):
        _run_coroutine(item, runtest, measurement.around_coroutine(function))
        return
    item.obj = measurement.around(function)  # type: ignore[attr-defined]
    try:
        runtest()
    finally:
        item.obj = function  # type: ignore[attr-defined]


def _run_coroutine(item: pytest.Item, runtest: Callable[[], None], measured: Callable[..., Any]) -> None:
    # unittest looks its coroutines up on the instance and leaves item.obj alone.
    on_instance = isinstance(item, TestCaseFunction)
    owner, name = (item.instance, item.name) if on_instance else (item, "obj")  # type: ignore[attr-defined]
    function = item.obj  # type: ignore[attr-defined]
    setattr(owner, name, measured)
    try:
        with_frame_room(runtest)
    finally:
        if on_instance:
            delattr(owner, name)
        else:
            setattr(owner, name, function)


class _MeasuredRun(partial[None]):
    """Stands in for an item's ``runtest`` until that is called; where another plugin's hook raised, it never was."""

    __slots__ = ()


def _unjudged(item: pytest.Item) -> list[Result]:
    """Return the results of a test in a child that told nothing."""
    measurement = Measurement(item.nodeid, item.stash[SETTINGS], registry_of(item.config))
    measurement.around(item.runtest)
    results = measurement.results()
    for result in results:
        result.isolation = "process"
        if UNDER in item.stash:
            result.allocator = item.stash[UNDER].name
    return results


class RefusedTests:
    """Fails the tests whose markers are wrong, in a worker that could not refuse them at collection."""

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Show what is wrong with the marker."""
        if MISTAKE in item.stash:
            raise item.stash[MISTAKE]


class Measuring:
    """Puts the window round a test's function, and the verdict into its report."""

    def __init__(self, config: pytest.Config) -> None:
        self._statuses = (Status.FAILED, Status.UNCHECKED) if resolve(config, "strict") else (Status.FAILED,)
        self._judges = not config.pluginmanager.hasplugin("memperf-template")  # a child leaves that to its driver

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        """Have the item run its test measured; a wrapper of this hook would cost every test more."""
        if SETTINGS in item.stash:
            run = self._run_isolated if ISOLATED in item.stash else self._run
            runtest = item.runtest
            if type(runtest) is _MeasuredRun:
                runtest = runtest.args[1]
            item.runtest = _MeasuredRun(run, item, runtest)  # type: ignore[method-assign]

    def _run(self, item: pytest.Item, runtest: Callable[[], None]) -> None:
        """Measure the test, and raise where a budget is exceeded: an ordinary failure to everyone else."""
        item.__dict__.pop("runtest", None)
        measurement = item.stash.get(MEASUREMENT, None) or begin_measurement(item)
        benchmark = _joined_benchmark(item, measurement)
        try:
            _run_measured(item, runtest, measurement)
        finally:
            results = item.stash[RESULTS] = measurement.results()
            del item.stash[MEASUREMENT]
            if benchmark is not None:
                note_metrics(benchmark, results)
        if measurement.repeats_nothing:
            refuse_idle_repeats(item)
        if self._judges:
            self._judge(item, results)

    def _run_isolated(self, item: pytest.Item, runtest: Callable[[], None]) -> None:
        """Have a child measure the test, and judge here what it found; one that died has left its budgets unchecked."""
        item.runtest = runtest  # type: ignore[method-assign]
        try:
            runtest()
        except BaseException:
            item.stash.setdefault(RESULTS, _unjudged(item))
            raise
        self._judge(item, item.stash.get(RESULTS, []))

    def _judge(self, item: pytest.Item, results: list[Result]) -> None:
        failing = [(result, check) for result in results for check in self._failing(result)]
        if not failing:
            return
        soft = [result.sentence(check) for result, check in failing if check.budget.soft]
        hard = [result.sentence(check) for result, check in failing if not check.budget.soft]
        if soft:
            try:
                item.warn(MemoryBudgetWarning("; ".join(soft)))
            except MemoryBudgetWarning:  # -W error
                hard = [*hard, *soft]
        if hard:
            raise MemoryBudgetExceeded("; ".join(hard))

    def _failing(self, result: Result) -> list[Check]:
        return [check for check in result.checks if check.status in self._statuses]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the results to the report of the call phase, and word a failure for its reader."""
        report = yield
        error = call.excinfo.value if call.excinfo else None
        if call.when == "call" and RESULTS in item.stash:
            if not isinstance(error, pytest.skip.Exception):  # such a test did nothing that could be measured
                report.memperf = item.stash[RESULTS]  # type: ignore[attr-defined]
                if UNDER in item.stash:
                    report.memperf_among = item.stash[UNDER].among  # type: ignore[attr-defined]
            del item.stash[RESULTS]
        if error is None:
            return report
        if isinstance(error, MemoryBudgetExceeded):  # which xfail may have expected, or a test may raise by itself
            failed = [result for result in getattr(report, "memperf", ()) if self._failing(result)]
            if failed or error.details:
                report.longrepr = budget_failure(item, str(error), failed, error.details)
                report.memperf_failed = report.failed  # type: ignore[attr-defined]
        word_mistake(item, call, report)
        return report
