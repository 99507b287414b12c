"""The windows of one test together: which one the marker judges, their names, figures of the user's own."""

from __future__ import annotations

from typing import Any

import pytest
from known_windows import REGISTRY, touch

from cyx.probes import Interval
from pytest_memperf.measure.measurement import Measurement
from pytest_memperf.measure.settings import parse_settings
from pytest_memperf.model.budget import Status, Verdict
from pytest_memperf.model.errors import UsageMistake


class TestMeasurement:
    """The windows of one test together."""

    def measurement(self, **keywords: Any) -> Measurement:
        """Return the measurement of a test with these marker keywords."""
        return Measurement("test_it", parse_settings(keywords, REGISTRY), REGISTRY)

    def test_marker_judges_the_call_phase(self) -> None:
        """Without a measured call the budgets judge the call phase."""
        measurement = self.measurement(max_minor_faults=9)
        measurement.around(lambda: touch(10))()
        (result,) = measurement.results()

        assert (result.window, [check.status for check in result.checks]) == ("call", [Status.FAILED])

    def test_marker_judges_the_measured_call(self) -> None:
        """With a measured call they judge that one, and the call phase is not reported."""
        measurement = self.measurement(max_minor_faults=9)

        def test() -> None:
            touch(10)
            measurement.measured_call().repeat(touch, (5,), {})

        measurement.around(test)()
        (result,) = measurement.results()

        assert (result.window, [check.status for check in result.checks]) == ("memperf", [Status.PASSED])

    def test_measured_call_never_reached(self) -> None:
        """A test that fails before it leaves the budgets unchecked."""
        measurement = self.measurement(max_minor_faults=9)
        with pytest.raises(ZeroDivisionError):
            measurement.around(lambda: 1 / 0)()
        (result,) = measurement.results()

        assert [check.status for check in result.checks] == [Status.UNCHECKED]

    def test_second_measured_call(self) -> None:
        """There is one measured call a test."""
        measurement = self.measurement()
        measurement.measured_call().repeat(touch, (1,), {})

        with pytest.raises(UsageMistake, match=r"use memperf\.measure"):
            measurement.measured_call()

    @pytest.mark.parametrize("name", ["parse", "call", "memperf"])
    def test_name_in_use(self, name: str) -> None:
        """A name stands for one window of a test."""
        measurement = self.measurement()
        with measurement.window("parse", {}):
            pass

        with pytest.raises(UsageMistake, match=f"called {name!r} already: give this one another name"):
            measurement.window(name, {})

    def test_name_in_use_by_an_open_window(self) -> None:
        """Nested windows of one name are refused, and so is a measured call inside the measured call."""
        measurement = self.measurement()
        with measurement.window("parse", {}), pytest.raises(UsageMistake, match="called 'parse' already"):
            measurement.window("parse", {})
        with pytest.raises(UsageMistake, match="one call a test"):
            measurement.measured_call().repeat(lambda: measurement.measured_call().repeat(touch, (1,), {}), (), {})

    @pytest.mark.parametrize(("enter", "reason"), [(False, "was never entered"), (True, "was never left")])
    def test_window_that_was_not_used_rightly(self, enter: bool, reason: str) -> None:
        """A window with budgets that is not entered or not left leaves them unchecked, and none stays open."""
        measurement = self.measurement()

        def test() -> None:
            kept = measurement.window("kept", {"max_minor_faults": 0})
            if enter:
                kept.__enter__()

        measurement.around(test)()
        (check,) = measurement.results()[-1].checks

        assert check.status is Status.UNCHECKED
        assert reason in check.reason
        assert not Interval.is_nested()

    @pytest.mark.parametrize("keywords", [{"warmup": 1}, {"setup": lambda: 1 / 0}])
    def test_warm_up_or_set_up_that_raises(self, keywords: dict[str, Any]) -> None:
        """The marker's budgets are unchecked, and never judged over something else."""
        measurement = self.measurement(max_minor_faults=9, **keywords)
        with pytest.raises(ZeroDivisionError):
            measurement.around(lambda: measurement.measured_call().repeat(lambda: 1 / 0, (), {}))()
        (result,) = measurement.results()

        assert (result.window, result.rounds) == ("memperf", 0)
        assert [check.status for check in result.checks] == [Status.UNCHECKED]

    def test_after_the_test(self) -> None:
        """A window in a tear-down is refused."""
        measurement = self.measurement()
        measurement.around(lambda: None)()
        measurement.results()

        with pytest.raises(UsageMistake, match="not in a tear-down"):
            measurement.window("late", {})

    def test_a_figure_is_soft_where_the_marker_is(self) -> None:
        """Its budget warns, as the others of the test do."""
        measurement = self.measurement(soft=True)
        measurement.around(lambda: measurement.record("rows", 3, unit="count", better="lower", max=2))()

        assert [check.verdict for check in measurement.results()[0].checks] == [Verdict.WARNED]

    def test_a_figure_after_the_test(self) -> None:
        """It is refused too: nobody would see it."""
        measurement = self.measurement()
        measurement.around(lambda: None)()
        measurement.results()

        with pytest.raises(UsageMistake, match="not in a tear-down"):
            measurement.record("late", 3, unit="count", better="lower")

    def test_a_figure_with_a_wrong_limit_is_not_kept(self) -> None:
        """It can be recorded again."""
        measurement = self.measurement()
        with pytest.raises(UsageMistake, match="is negative"):
            measurement.record("rows", 3, unit="count", better="lower", max=-1)
        measurement.record("rows", 3, unit="count", better="lower", max=4)

    def test_named_windows_have_budgets_of_their_own(self) -> None:
        """The marker's budgets stand on the judged window alone, a named window's on that window alone."""
        measurement = self.measurement(max_minor_faults=99)

        def test() -> None:
            with measurement.window("parse", {"max_minor_faults": 4}):
                touch(5)

        measurement.around(test)()
        verdicts = {result.window: [check.status for check in result.checks] for result in measurement.results()}

        assert verdicts == {"call": [Status.PASSED], "parse": [Status.FAILED]}

    def test_record(self) -> None:
        """A recorded figure is a metric like the others, with its own limits."""
        measurement = self.measurement()
        measurement.around(lambda: measurement.record("rows", 1000, unit="count", better="lower", max=999))()
        (result,) = measurement.results()

        assert result.metrics["rows"].value == 1000
        assert [check.sentence for check in result.checks] == ["rows 1,000 is over max_rows = 999"]

    @pytest.mark.parametrize(
        ("arguments", "line"),
        [
            ({"name": "peak_rss"}, "there is a metric of this name already"),
            ({"better": "more"}, "choose from 'lower', 'higher', 'neither'"),
            ({"value": "many"}, "'many' is not a count"),
            ({"max": -1}, "is negative"),
            ({"name": "ro\nws"}, "leave line breaks"),
        ],
    )
    def test_record_refused(self, arguments: dict[str, Any], line: str) -> None:
        """A wrong figure is refused in one line."""
        with pytest.raises(UsageMistake, match=line):
            self.measurement().record(**{"name": "rows", "value": 1, "unit": "count", "better": "lower"} | arguments)
