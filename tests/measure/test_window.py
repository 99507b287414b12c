"""Windows: one pass or several, nested, used once, with the collector as asked for."""

from __future__ import annotations

import asyncio
import gc
import mmap
from pathlib import Path
from typing import Any

import pytest

from cyx.probes import Interval
from pytest_memperf.measure.conditions import CONDITIONS
from pytest_memperf.measure.measurement import Measurement
from pytest_memperf.measure.settings import Settings, parse_settings
from pytest_memperf.measure.watch import Watch
from pytest_memperf.measure.window import Window
from pytest_memperf.metrics import BUILT_IN, Probe, Registry
from pytest_memperf.model.budget import Status
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import COUNT

REGISTRY = Registry(BUILT_IN)


def touch(pages: int) -> int:
    """Write to this many fresh pages."""
    with mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1
    return pages


def window(**keywords: Any) -> Window:
    """Return a window with these settings that tells nobody of its end."""
    return Window("w", parse_settings(keywords, REGISTRY), REGISTRY)


class TestOnePass:
    """``with window:``."""

    @pytest.mark.parametrize("pages", [0, 1, 7, 1000])
    def test_known_work(self, pages: int) -> None:
        """N pages written are N minor faults; the metric is an attribute."""
        with window() as measured:
            touch(pages) if pages else None

        assert measured.minor_faults == pages

    def test_exception_travels_on(self) -> None:
        """An exception ends the window and is raised as it was."""
        measured, error = window(), KeyError("k")
        with pytest.raises(KeyError) as caught, measured:
            raise error

        assert caught.value is error
        assert measured.ended

    def test_used_twice(self) -> None:
        """A second use is refused with the mend."""
        measured = window()
        with measured:
            pass

        with pytest.raises(UsageMistake, match=r"window 'w' was used before: take a new one from memperf.window"):
            measured.__enter__()
        with pytest.raises(UsageMistake, match="was used before"):
            measured.repeat(touch, (1,), {})

    def test_end_without_start(self) -> None:
        """The end of a window that is not open is refused, and never a crash."""
        measured = window()

        with pytest.raises(UsageMistake, match="is not open: use it in a with statement"):
            measured.__exit__(None, None, None)
        with measured:
            pass
        with pytest.raises(UsageMistake, match="is not open"):
            measured.__exit__(None, None, None)

    def test_read_before_its_end(self) -> None:
        """A metric has no value before the end."""
        measured = window()

        with pytest.raises(UsageMistake, match="has not ended yet: read minor_faults after its with block"):
            _ = measured.minor_faults
        with measured, pytest.raises(UsageMistake, match="has not ended yet"):
            _ = measured.minor_faults

    def test_no_such_metric(self) -> None:
        """What is no metric is no attribute."""
        with pytest.raises(AttributeError, match="a window has no metric 'minor_fault'"):
            _ = window().minor_fault

    def test_metric_that_was_not_measured(self) -> None:
        """A metric that costs something is taken where it is asked for, and the error says how to ask."""
        with window() as measured:
            pass

        with pytest.raises(UsageMistake, match=r"throughput was not measured in window 'w'"):
            _ = measured.throughput

    def test_nested(self) -> None:
        """Windows nest: each reads its own faults, and an inner one does not spoil the outer one's peak."""
        with window() as outer:
            touch(30_000)
            with window() as inner:
                touch(100)
            touch(1_000)

        assert (outer.minor_faults, inner.minor_faults) == (31_100, 100)
        slack = outer.measured()["peak_rss"].uncertainty
        assert abs(outer.peak_rss - 30_000 * mmap.PAGESIZE) <= slack
        assert inner.peak_rss < 30_000 * mmap.PAGESIZE

    def test_inner_ones_cost_the_outer_one_nothing(self) -> None:
        """What it takes to start, stop and keep 500 windows, some 300 pages, is no fault of the window round them."""
        inner = [window() for _ in range(500)]
        with window() as outer:
            for each in inner:
                with each:
                    pass

        # Where an object that is kept fills a page, the next one of the loop itself begins another.
        assert outer.minor_faults < 25
        assert {each.minor_faults for each in inner} == {0}

    def test_overlapping(self) -> None:
        """Windows may end in another order than the opposite of their start, as in tasks."""

        def overlap() -> tuple[int, int]:
            first, second = window(), window()
            first.__enter__()
            second.__enter__()
            touch(500)
            first.__exit__(None, None, None)
            touch(200)
            second.__exit__(None, None, None)
            return first.minor_faults, second.minor_faults

        overlap()  # the interpreter's own objects have room from here on
        assert overlap() == (500, 700)


class TestRounds:
    """``memperf(function)`` with ``rounds``, ``warmup`` and ``setup``."""

    def test_counts_of_calls(self) -> None:
        """The function runs warm-up and rounds times, the set-up before each; the last result comes back."""
        calls: list[str] = []
        measured = window(rounds=3, warmup=2, setup=lambda: calls.append("setup"))
        result = measured.repeat(lambda x, *, y: calls.append("call") or (x, y, len(calls)), (1,), {"y": 2})

        assert result == (1, 2, 10)
        assert calls == ["setup", "call"] * 5
        assert len(measured.measured()["minor_faults"].samples) == 3

    def test_samples_and_median(self) -> None:
        """Each round is a sample; the value is their median, the uncertainty at least half their spread."""
        pages = iter([500, 10, 20])
        measured = window(rounds=3)
        measured.repeat(lambda: touch(next(pages)), (), {})
        faults = measured.measured()["minor_faults"]

        assert (faults.samples, faults.value, faults.uncertainty) == ((500, 10, 20), 20, 245)

    def test_setup_is_outside(self) -> None:
        """What the set-up does is not measured."""
        measured = window(rounds=2, setup=lambda: touch(300))
        measured.repeat(touch, (5,), {})

        assert measured.minor_faults == 5

    def test_exception_in_a_round(self) -> None:
        """An exception in the second round ends the window with what the first one read."""
        steps = iter([touch, divmod])
        measured = window(rounds=3)
        with pytest.raises(TypeError):
            measured.repeat(lambda: next(steps)(3), (), {})

        assert len(measured.rounds) == 2
        assert all(each.finished for each in measured.rounds)

    def test_async_rounds(self) -> None:
        """A coroutine function is awaited in each round."""

        async def work(pages: int) -> int:
            await asyncio.sleep(0)
            return touch(pages)

        measured = window(rounds=2, warmup=1)
        result = asyncio.run(measured.repeat_async(work, (40,), {}))

        assert result == 40
        assert measured.measured()["minor_faults"].samples == (40, 40)


class TestCollector:
    """``gc=``."""

    def test_off_is_put_back(self) -> None:
        """The collector is off inside and as before afterwards, after an exception too."""
        inside = []

        def fail() -> None:
            inside.append(gc.isenabled())
            raise KeyError

        with pytest.raises(KeyError):
            window(gc="off").call(fail, (), {})

        assert inside == [False]
        assert gc.isenabled()

    def test_off_stays_off(self) -> None:
        """A collector that was off is not switched on."""
        gc.disable()
        try:
            with window(gc="off"):
                pass
            assert not gc.isenabled()
        finally:
            gc.enable()

    def test_collect(self) -> None:
        """``collect`` collects before the window."""
        collections = gc.get_stats()[2]["collections"]
        with window(gc="collect"):
            inside = gc.get_stats()[2]["collections"]

        assert inside == collections + 1


class TestTime:
    """Time and the rates that follow from it."""

    def test_throughput(self) -> None:
        """Throughput is the declared bytes over the time of the round."""
        with window(bytes="1 MiB") as measured:
            touch(1)

        assert measured.throughput == pytest.approx(2**20 / measured.wall_time)
        assert measured.bytes == 2**20

    def test_time_from_elsewhere(self) -> None:
        """A benchmark's median takes the place of the one call's time; a reason leaves no time."""
        with window(bytes=1000, max_wall_time="1 s") as measured:
            pass
        measured.take_time(Reading(0.5, 0.1))

        assert (measured.wall_time, measured.throughput) == (0.5, 2000.0)
        assert measured.measured()["throughput"].uncertainty == pytest.approx(400)

        measured.take_time("no time here")
        (check,) = measured.result("t").checks

        assert (check.status, check.reason) == (Status.UNCHECKED, "no time here")


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
        ],
    )
    def test_record_refused(self, arguments: dict[str, Any], line: str) -> None:
        """A wrong figure is refused in one line."""
        with pytest.raises(UsageMistake, match=line):
            self.measurement().record(**{"name": "rows", "value": 1, "unit": "count", "better": "lower"} | arguments)


def test_default_settings_measure_what_is_always_taken() -> None:
    """Without settings the cheap metrics are there, the costly ones are not."""
    with Window("w", Settings(), REGISTRY) as measured:
        pass

    assert {"minor_faults", "major_faults", "peak_rss", "retained_rss", "wall_time"} <= set(measured.measured())
    assert "throughput" not in measured.measured()


class TestInterference:
    """Budgets that are exceeded while the machine was busy with itself."""

    @pytest.fixture
    def machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return a folder that stands for /proc, with counts as they were at the start."""
        self.happen(tmp_path, thp_fault_fallback=5, pswpin=0)
        (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 0 9 0\n")
        monkeypatch.setattr("pytest_memperf.measure.window.WATCH", Watch(tmp_path))
        return tmp_path

    @staticmethod
    def happen(root: Path, **counts: int) -> None:
        """Let the counts of the machine be these."""
        (root / "vmstat").write_text("".join(f"{name} {count}\n" for name, count in counts.items()))

    def test_a_refused_huge_page_may_be_the_reason(self, machine: Path) -> None:
        """It accounts for 512 faults of 4 KiB: the budget holds, the value says how sure it is, and a note why."""
        with window(max_minor_faults=9) as measured:
            touch(10)
            self.happen(machine, thp_fault_fallback=6, pswpin=0)
        result = measured.result("t")

        assert [check.status for check in result.checks] == [Status.PASSED]
        assert result.metrics["minor_faults"].uncertainty == mmap.PAGESIZE // 8
        assert result.notes == ["interference: huge pages were refused (1)"]

    def test_but_not_for_everything(self, machine: Path) -> None:
        """What lies beyond it fails all the same."""
        with window(max_minor_faults=9) as measured:
            touch(10)
            self.happen(machine, thp_fault_fallback=5, pswpin=1)
        assert [check.status for check in measured.result("t").checks] == [Status.PASSED]

        with window(max_minor_faults=9) as measured:
            touch(12)
        assert [check.status for check in measured.result("t").checks] == [Status.FAILED]

    def test_a_quiet_machine_is_no_excuse(self, machine: Path) -> None:
        """Nor is what has nothing to do with the metric."""
        with window(max_minor_faults=9, max_retained_rss=0) as measured:
            touch(10)
        assert [check.status for check in measured.result("t").checks] == [Status.FAILED, Status.PASSED]
        assert measured.result("t").notes == []


class TestProbes:
    """Probes that fail cost their own metrics only."""

    @pytest.mark.parametrize("act", ["start", "stop", "read"])
    def test_that_raise(self, act: str) -> None:
        """The reason stands for the metric; everything else is measured, and the collector is back on."""

        def fail(*_: Any) -> Any:
            raise OSError("no such file")

        metric = Metric("answer", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "the answer", "a book")
        acts = {"metrics": (metric,), "read": lambda *_: {"answer": Reading(42)}, act: fail}
        registry = Registry([*BUILT_IN, type("Answer", (Probe,), acts)])
        with Window("w", parse_settings({"gc": "off", "max_answer": 41}, registry), registry) as measured:
            touch(3)
        (check,) = measured.result("t").checks

        assert measured.minor_faults == 3
        assert gc.isenabled()
        assert check.status is Status.UNCHECKED
        assert "Answer." + act in check.reason

    def test_that_read_no_reading(self) -> None:
        """What is no reading is a reason."""
        metric = Metric("answer", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "the answer", "a book")
        answer = type("Answer", (Probe,), {"metrics": (metric,), "read": lambda *_: {"answer": 7}})
        registry = Registry([answer])
        with Window("w", Settings(), registry) as measured:
            pass

        assert measured.unavailable() == {"answer": "Answer read 7, no Reading and no reason: mend the probe"}


class TestConditions:
    """What a process does round its windows."""

    def test_progress(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Progress is told after each round, outside of it."""
        told: list[tuple[str, int, int]] = []
        monkeypatch.setattr(CONDITIONS, "progress", lambda *where: told.append(where) or touch(50))
        measured = window(rounds=3)
        measured.repeat(touch, (2,), {})

        assert told == [("w", 1, 3), ("w", 2, 3), ("w", 3, 3)]
        assert measured.measured()["minor_faults"].samples == (2, 2, 2)

    def test_settle_once_before_the_outermost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Settling comes right before a window, not inside another one."""
        settled: list[int] = []
        monkeypatch.setattr(CONDITIONS, "settle", lambda: settled.append(1))
        with window(), window():
            pass

        assert settled == [1]

    def test_settle_before_the_judged_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The measured call settles in each round, although the call phase is open."""
        settled: list[int] = []
        monkeypatch.setattr(CONDITIONS, "settle", lambda: settled.append(1))
        measurement = Measurement("t", parse_settings({"rounds": 3}, REGISTRY), REGISTRY)
        measurement.around(lambda: measurement.measured_call().repeat(touch, (1,), {}))()

        assert len(settled) == 1 + 3

    def test_stamp(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A result says where it was measured."""
        monkeypatch.setattr(CONDITIONS, "isolation", "process")
        monkeypatch.setattr(CONDITIONS, "allocator", "jemalloc")
        monkeypatch.setattr(CONDITIONS, "notes", ["why"])
        with window() as measured:
            pass
        result = measured.result("t")

        assert (result.isolation, result.allocator, result.notes) == ("process", "jemalloc", ["why"])
