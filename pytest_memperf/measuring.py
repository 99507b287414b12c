"""The hooks round each measured test; registered only in a session that measures something."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

import pytest
from _pytest.unittest import TestCaseFunction

from pytest_memperf.fixtures.benchmark_partner import FIXTURE, join, note_metrics
from pytest_memperf.measure.frame_room import with_frame_room
from pytest_memperf.measure.measurement import Measurement
from pytest_memperf.model.budget import Check, Status
from pytest_memperf.model.errors import MemoryBudgetExceeded, MemoryBudgetWarning, UsageMistake
from pytest_memperf.model.result import Result
from pytest_memperf.report.failure import budget_failure, mistake_failure
from pytest_memperf.selection import MEASUREMENT, MISTAKE, SETTINGS, is_measured, measurement_of

RESULTS = pytest.StashKey[list[Result]]()


@contextlib.contextmanager
def _window_round(item: pytest.Item, measurement: Measurement) -> Iterator[None]:
    """Make the window the innermost wrapper round the test function, whoever calls that, and make room for it."""
    function = getattr(item, "obj", None)
    if not callable(function):
        item.runtest = measurement.around(item.runtest)  # type: ignore[method-assign]
        try:
            yield
        finally:
            del item.runtest
        return
    if inspect.iscoroutinefunction(function):
        item.runtest = partial(with_frame_room, item.runtest)  # type: ignore[method-assign]
    measured = measurement.around(function)
    # unittest looks its coroutines up on the instance and leaves item.obj alone.
    owner, name = (
        (item.instance, item.name)
        if isinstance(item, TestCaseFunction) and inspect.iscoroutinefunction(function)
        else (item, "obj")
    )
    setattr(owner, name, measured)
    try:
        yield
    finally:
        vars(item).pop("runtest", None)
        if owner is item:
            item.obj = function  # type: ignore[attr-defined]
        else:
            delattr(owner, name)


def _joined_benchmark(item: pytest.Item, measurement: Measurement) -> Any:
    """Return pytest-benchmark's fixture, joined, where a test that asks to be measured takes it."""
    if FIXTURE not in getattr(item, "fixturenames", ()) or not is_measured(item):
        return None
    benchmark = item.funcargs.get(FIXTURE)  # type: ignore[attr-defined]
    if type(benchmark).__name__ != "BenchmarkFixture":  # somebody else's fixture of that name
        return None
    join(benchmark, measurement)
    return benchmark


class Measuring:
    """Puts the window round a test's function, and the verdict into its report."""

    def __init__(self, strict: bool) -> None:
        self._statuses = (Status.FAILED, Status.UNCHECKED) if strict else (Status.FAILED,)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Fail a test whose marker is wrong, in a worker that could not refuse it at collection."""
        if MISTAKE in item.stash:
            raise item.stash[MISTAKE]

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Measure the call phase, and raise where a budget is exceeded: an ordinary failure to everyone else."""
        if SETTINGS not in item.stash:
            return (yield)
        measurement = measurement_of(item)
        benchmark = _joined_benchmark(item, measurement)
        try:
            with _window_round(item, measurement):
                outcome = yield
        finally:
            item.stash[RESULTS] = measurement.results()
            del item.stash[MEASUREMENT]
            if benchmark is not None:
                note_metrics(benchmark, item.stash[RESULTS])
        self._judge(item, measurement, item.stash[RESULTS])
        return outcome

    def _judge(self, item: pytest.Item, measurement: Measurement, results: list[Result]) -> None:
        sentences = [check.sentence for result in results for check in self._failing(result)]
        if sentences and measurement.settings.soft:
            item.warn(MemoryBudgetWarning("; ".join(sentences)))
        elif sentences:
            raise MemoryBudgetExceeded("; ".join(sentences))

    def _failing(self, result: Result) -> list[Check]:
        return [check for check in result.checks if check.status in self._statuses]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the results to the report of the call phase, and word a failure for its reader."""
        report = yield
        if call.when != "call" and call.excinfo is None:
            return report
        if RESULTS in item.stash:
            report.memperf = item.stash[RESULTS]  # type: ignore[attr-defined]
            del item.stash[RESULTS]
        if report.failed and call.excinfo is not None:
            error = call.excinfo.value
            if isinstance(error, MemoryBudgetExceeded):
                failed = [result for result in report.memperf if self._failing(result)]
                report.longrepr = budget_failure(item, str(error), failed)
                report.memperf_failed = True  # type: ignore[attr-defined]
            elif isinstance(error, UsageMistake):
                report.longrepr = mistake_failure(item, str(error))
        return report
