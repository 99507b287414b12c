"""One pass: the collector as asked for, probes that fail, interrupts, and the machine's part in an exceeded budget."""

from __future__ import annotations

import gc
import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_windows import touch, window

from cyx.probes import Interval
from pytest_memperf.measure.settings import parse_settings
from pytest_memperf.measure.watch import Watch
from pytest_memperf.measure.window import Window
from pytest_memperf.metrics import BUILT_IN, Probe, Registry
from pytest_memperf.model.budget import Status
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import COUNT


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


class TestInterference:
    """Budgets that are exceeded while the machine was busy with itself."""

    @pytest.fixture
    def machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Return a folder that stands for /proc, with counts as they were at the start."""
        self.happen(tmp_path, thp_fault_fallback=5, pswpin=0)
        (tmp_path / "stat").write_text("cpu  1 2 3 4 5 6 7 0 9 0\n")
        watch = Watch(tmp_path)
        monkeypatch.setattr("pytest_memperf.measure.round.WATCH", watch)
        monkeypatch.setattr("pytest_memperf.measure.window.WATCH", watch)
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

    def test_what_happens_after_a_window_is_no_excuse(self, machine: Path) -> None:
        """It is judged at the end of its test; a window in the test looks at its own end."""
        with window(max_minor_faults=9) as measured:
            touch(10)
        self.happen(machine, thp_fault_fallback=6, pswpin=0)

        assert [check.status for check in measured.result("t").checks] == [Status.FAILED]

    def test_an_inner_window_takes_no_look_away(self, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What happened in the outer window before a later look is its excuse all the same."""
        monkeypatch.setattr("pytest_memperf.measure.watch.PERIOD", 0.0)
        with window(max_minor_faults=9) as outer:
            touch(10)
            self.happen(machine, thp_fault_fallback=6, pswpin=0)
            with window():
                pass

        assert [check.status for check in outer.result("t").checks] == [Status.PASSED]

    def test_the_note_names_what_can_be_the_reason(self, machine: Path) -> None:
        """Time that went to other machines costs no fault."""
        with window(max_minor_faults=9) as measured:
            touch(10)
            self.happen(machine, thp_fault_fallback=6, pswpin=0)
            (machine / "stat").write_text("cpu  1 2 3 4 5 6 7 9 9 0\n")

        assert measured.result("t").notes == ["interference: huge pages were refused (1)"]


def answer(**acts: Any) -> type[Probe]:
    """Return a probe of one metric that reads 42, but for these methods."""
    metric = Metric("answer", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "the answer", "a book")
    return type("Answer", (Probe,), {"metrics": (metric,), "read": lambda *_: {"answer": Reading(42)}, **acts})


def measured_with(probe: type[Probe], **keywords: Any) -> Window:
    """Return a window that has ended, with this probe in it."""
    registry = Registry([*BUILT_IN, probe])
    with Window("w", parse_settings(keywords, registry), registry) as measured:
        touch(3)
    return measured


class TestProbes:
    """Probes that fail cost their own metrics only."""

    @pytest.mark.parametrize("acting", [False, True])
    @pytest.mark.parametrize("act", ["__init__", "prepare", "start", "stop", "read"])
    def test_that_raise(self, act: str, acting: bool) -> None:
        """The reason stands for the metric; everything else is measured, and the collector is back on."""

        def fail(*_: Any) -> Any:
            raise OSError("no such file")

        probe = answer(**{**({"stop": lambda self: None} if acting else {}), act: fail})
        measured = measured_with(probe, gc="off", max_answer=41)
        (check,) = measured.result("t").checks

        assert measured.minor_faults == 3
        assert gc.isenabled()
        assert check.status is Status.UNCHECKED
        assert "Answer." + act.replace("prepare", "start") in check.reason

    def test_whose_notes_raise(self) -> None:
        """That is what there is to note."""
        probe = answer(stop=lambda self: None, notes=property(lambda self: 1 / 0))
        result = measured_with(probe, max_answer=42).result("t")

        assert [check.status for check in result.checks] == [Status.PASSED]
        assert result.notes == ["Answer.notes failed (ZeroDivisionError: division by zero): mend the probe"]

    def test_whose_disturbance_raises(self) -> None:
        """Then nobody knows of an excuse."""
        result = measured_with(answer(disturbance=classmethod(lambda *_: 1 / 0)), max_answer=41).result("t")

        assert [check.status for check in result.checks] == [Status.FAILED]
        assert result.notes == ["Answer.disturbance failed (ZeroDivisionError: division by zero): mend the probe"]

    @pytest.mark.parametrize(
        "outcome", [7, None, Reading(None), Reading(float("nan")), Reading("7"), Reading(1, float("inf"))], ids=repr
    )
    def test_that_read_no_reading(self, outcome: Any) -> None:
        """What is no reading of finite numbers is a reason."""
        measured = measured_with(answer(read=lambda *_: {"answer": outcome}))
        reason = f"Answer read {outcome!r}, no Reading of finite numbers and no reason: mend the probe"

        assert measured.unavailable()["answer"] == reason
        assert "answer" not in measured.measured()

    @pytest.mark.parametrize("outcomes", [None, 7, "text"])
    def test_that_read_no_mapping(self, outcomes: Any) -> None:
        """What is no mapping is a reason too."""
        assert "Answer.read failed" in measured_with(answer(read=lambda *_: outcomes)).unavailable()["answer"]

    def test_that_read_a_metric_that_is_not_theirs(self) -> None:
        """It is left out: no report would know its unit."""
        measured = measured_with(answer(read=lambda *_: {"answer": Reading(1), "minor_faults": Reading(9), "x": 1}))

        assert (measured.answer, measured.minor_faults) == (1, 3)
        assert "x" not in {**measured.measured(), **measured.unavailable()}

    @pytest.mark.parametrize(("value", "plain"), [(np.int64(5), 5), (np.float32(0.5), 0.5), (True, 1)])
    def test_numbers_of_others_become_pythons_own(self, value: Any, plain: float) -> None:
        """So that every report can be written and sent."""
        measured = measured_with(answer(read=lambda *_: {"answer": Reading(value, value)}))

        assert type(measured.answer) is type(plain)
        assert measured.answer == measured.measured()["answer"].uncertainty == plain


class TestInterrupt:
    """An interrupt before the start."""

    def test_it_travels_on(self) -> None:
        """The probes that were started are stopped, the collector is back on, and no round is left."""
        stopped: list[str] = []

        class First(answer(stop=lambda self: stopped.append("first"))):  # type: ignore[misc]
            pass

        def interrupt(self: Probe) -> None:
            raise KeyboardInterrupt

        second = Metric("second", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "a second one", "a book")
        registry = Registry([First, type("Second", (Probe,), {"metrics": (second,), "start": interrupt})])
        measured = Window("w", parse_settings({"gc": "off"}, registry), registry)
        with pytest.raises(KeyboardInterrupt):
            measured.__enter__()

        assert stopped == ["first"]
        assert gc.isenabled()
        assert not measured.end()
        assert not measured.rounds
        assert not Interval.is_nested()
