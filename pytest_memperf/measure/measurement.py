"""The measurement of one test: its settings, its windows, and what they came to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import pytest

from pytest_memperf.measure.frame_room import with_frame_room
from pytest_memperf.measure.settings import Settings, parse_settings
from pytest_memperf.measure.window import Window
from pytest_memperf.metrics import Registry
from pytest_memperf.model.budget import Bound, Budget, Check, Status
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import unit_named

RESULTS = pytest.StashKey[list[Result]]()
"""The results of a test on their way from its call phase to the report of that."""

CALL_PHASE = "call"
MEASURED_CALL = "memperf"


class Measurement:
    """Collects the windows of one test. The marker's budgets judge the measured call, or else the call phase."""

    def __init__(self, test: str, settings: Settings, registry: Registry) -> None:
        self.test = test
        self.settings = settings
        self.registry = registry
        self._windows: list[Window] = []
        self._came_to_end = False
        self._recorded: dict[str, Measured] = {}
        self._recorded_checks: list[Check] = []

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the test function with the call-phase window as its innermost wrapper."""
        window = Window(CALL_PHASE, self.settings, self.registry, self._windows.append)

        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def measured_coroutine(*arguments: Any, **keywords: Any) -> Any:
                with window:
                    outcome = await function(*arguments, **keywords)
                self._came_to_end = True
                return outcome

            return measured_coroutine

        @wraps(function)
        def measured(*arguments: Any, **keywords: Any) -> Any:
            outcome = with_frame_room(window.call, function, arguments, keywords)
            self._came_to_end = True
            return outcome

        return measured

    def window(self, name: str, keywords: Mapping[str, Any]) -> Window:
        """Return a new window. UsageMistake for a name in use or a wrong keyword."""
        if not isinstance(name, str) or not name:
            raise UsageMistake(f"memperf.window({name!r}): give the window a name, such as memperf.window('parse')")
        if name in (CALL_PHASE, MEASURED_CALL) or any(window.name == name for window in self._windows):
            raise UsageMistake(f"a window of this test is called {name!r} already: give this one another name")
        return Window(name, parse_settings(keywords, self.registry), self.registry, self._windows.append)

    def measured_call(self) -> Window:
        """Return the window that the marker's budgets judge. UsageMistake for a second one."""
        if any(window.name == MEASURED_CALL for window in self._windows):
            raise UsageMistake("memperf(...) measures one call a test: use memperf.measure(...) for the others")
        return Window(MEASURED_CALL, self.settings, self.registry, self._windows.append)

    def record(self, name: str, value: float, *, unit: str, better: str, max: Any = None, min: Any = None) -> None:
        """Keep a figure of the user's own as a metric of this test, with its limits."""
        if name in self.registry or name in self._recorded:
            raise UsageMistake(f"memperf.record: there is a metric {name!r} already; choose another name")
        if better not in [each.value for each in Better]:
            raise UsageMistake(f"memperf.record: better={better!r}: choose 'lower', 'higher' or 'neither'")
        metric = Metric(
            name, unit_named(unit), Better(better), Trust.EXACT, Cost.ON_REQUEST, help="recorded by the test", source=""
        )
        measured = Measured(metric, (metric.unit.parse(value),))
        self._recorded[name] = measured
        for bound, limit in ((Bound.MAX, max), (Bound.MIN, min)):
            if limit is not None:
                self._recorded_checks.append(Budget.parse(metric, bound, limit).check(measured))

    def results(self) -> list[Result]:
        """Return a result for each window, the one that the marker judges first.

        Where the test did not come to its end, the marker's budgets are unchecked.
        """
        windows = {window.name: window for window in self._windows}
        judged = windows.get(MEASURED_CALL) or windows.get(CALL_PHASE)
        results = []
        for window in windows.values():
            if window.name == CALL_PHASE and window is not judged:
                continue
            result = window.result(self.test)
            if window is judged:
                result.metrics.update(self._recorded)
                result.checks += self._recorded_checks
                if not self._came_to_end:
                    result.checks = [
                        Check(check.budget, Status.UNCHECKED, reason="the test did not come to its end")
                        for check in result.checks
                    ]
            results.append(result)
        results.sort(key=lambda result: result.window not in (CALL_PHASE, MEASURED_CALL))
        return results
