"""The measurement of one test: its settings, its windows, and what they came to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
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
from pytest_memperf.model.values import choice

RESULTS = pytest.StashKey[list[Result]]()
"""The results of a test on their way from its call phase to the report of that."""
NOTE = pytest.StashKey[str]()
"""What the results of a test have to say."""

CALL_PHASE = "call"
MEASURED_CALL = "memperf"


class Measurement:
    """Collects the windows of one test. The marker's budgets judge the measured call, or else the call phase."""

    __slots__ = (
        "_over",
        "_recorded",
        "_recorded_checks",
        "_windows",
        "came_to_end",
        "notes",
        "registry",
        "settings",
        "test",
    )

    def __init__(self, test: str, settings: Settings, registry: Registry) -> None:
        self.test = test
        self.settings = settings
        self.registry = registry
        self.notes: list[str] = []
        """What every result of this test has to say."""
        self._windows: dict[str, Window] = {}
        self.came_to_end = False
        """Whether the test function has returned."""
        self._over = False
        self._recorded: dict[str, Measured] = {}
        self._recorded_checks: list[Check] = []

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the test function with the call-phase window as its innermost wrapper."""
        window = self._windows[CALL_PHASE] = Window(CALL_PHASE, self.settings, self.registry, judged_at_once=True)

        @wraps(function)  # a function, as others look at item.obj: an object would answer them slowly
        def measured_function(*arguments: Any, **keywords: Any) -> Any:
            outcome = with_frame_room(window.call, function, arguments, keywords)
            self.came_to_end = True
            return outcome

        return measured_function

    def around_coroutine(self, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Return the asynchronous test function with the call-phase window as its innermost wrapper."""
        window = self._windows[CALL_PHASE] = Window(CALL_PHASE, self.settings, self.registry, judged_at_once=True)

        @wraps(function)
        async def measured_coroutine(*arguments: Any, **keywords: Any) -> Any:
            with window:
                outcome = await function(*arguments, **keywords)
            self.came_to_end = True
            return outcome

        return measured_coroutine

    def window(self, name: str, keywords: Mapping[str, Any]) -> Window:
        """Return a new window. UsageMistake for a name in use or a wrong keyword."""
        if not isinstance(name, str) or not name:
            raise UsageMistake(f"memperf.window({name!r}): give the window a name, such as memperf.window('parse')")
        self._refuse_after_the_test()
        if name in (CALL_PHASE, MEASURED_CALL) or name in self._windows:
            raise UsageMistake(f"a window of this test is called {name!r} already: give this one another name")
        self._windows[name] = Window(name, parse_settings(keywords, self.registry), self.registry)
        return self._windows[name]

    def has_window(self, name: str) -> bool:
        """Tell whether a window of this test has the name."""
        return name in self._windows

    def measured_call(self) -> Window:
        """Return the window that the marker's budgets judge. UsageMistake for a second one."""
        self._refuse_after_the_test()
        if MEASURED_CALL in self._windows:
            raise UsageMistake(
                "memperf(...) or benchmark(...) measures one call a test: use memperf.measure(...) for the others"
            )
        # It settles although the call phase is open: that is not reported beside it.
        self._windows[MEASURED_CALL] = Window(MEASURED_CALL, self.settings, self.registry, settles=True)
        return self._windows[MEASURED_CALL]

    @property
    def repeats_nothing(self) -> bool:
        """Whether rounds were asked for, and there was no call to repeat."""
        return self.settings.repeats and MEASURED_CALL not in self._windows

    def _refuse_after_the_test(self) -> None:
        if self._over:
            raise UsageMistake("the test is over: measure in the test or in its set-up, not in a tear-down")

    def record(self, name: str, value: float, *, unit: str, better: str, max: Any = None, min: Any = None) -> None:
        """Keep a figure of the user's own as a metric of this test, with its limits."""
        if not isinstance(name, str) or not name or not isinstance(unit, str):
            raise UsageMistake("give the name and the unit as text")
        if not name.isprintable():
            raise UsageMistake("leave line breaks and control characters out of the name")
        self._refuse_after_the_test()
        if name in self.registry or name in self._recorded:
            raise UsageMistake("there is a metric of this name already: choose another")
        try:
            direction = Better(choice(better, [each.value for each in Better]))
        except UsageMistake as mistake:
            raise UsageMistake(f"better={better!r}: {mistake}") from None
        metric = Metric(
            name, unit_named(unit), direction, Trust.EXACT, Cost.ON_REQUEST, help="recorded by the test", source=""
        )
        measured = Measured(metric, (metric.unit.parse(value),))
        limits = ((Bound.MAX, max), (Bound.MIN, min))
        checks = [
            Budget.parse(metric, bound, limit, self.settings.soft).check(measured)
            for bound, limit in limits
            if limit is not None
        ]
        self._recorded[name] = measured
        self._recorded_checks += checks

    def results(self) -> list[Result]:
        """Return a result for each window, the one that the marker judges first.

        Budgets that could not be judged are unchecked, with the reason: the test did not come to its end, or a window
        was never entered or never left. No window can be opened afterwards.
        """
        self._over = True
        judged = self._windows.get(MEASURED_CALL) or self._windows.get(CALL_PHASE)
        results = []
        for window in self._windows.values():
            if window.name == CALL_PHASE and window is not judged:
                continue
            reason = "the window was never left: use it in a with statement" if window.end() else ""
            if not window.rounds:
                reason = "the window was never entered: use it in a with statement"
                if window.name == MEASURED_CALL:
                    reason = "the measured call never began: await memperf.acall(...)"
            result = window.result(self.test)
            result.notes += self.notes
            if window is judged:
                if self._recorded:
                    result.metrics = {**result.metrics, **self._recorded}
                    result.checks += self._recorded_checks
                reason = reason if self.came_to_end else "the test did not come to its end"
            if reason:
                result.checks = [Check(check.budget, Status.UNCHECKED, reason=reason) for check in result.checks]
            if window.rounds or result.checks:
                results.append(result)
        if len(results) > 1:
            results.sort(key=lambda result: result.window not in (CALL_PHASE, MEASURED_CALL))
        return results
