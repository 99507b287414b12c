"""One test over the saved runs."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pytest_memperf.baseline.series import Series, series
from pytest_memperf.model.comparison import Change
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import PERTURBED, Result
from pytest_memperf.model.run import Run
from pytest_memperf.model.units import BYTES, COUNT, SECONDS

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "", "", floor=4)
PAGES = Metric("pages", COUNT, Better.NEITHER, Trust.EXACT, Cost.ALWAYS, "", "")
PEAK = Metric("peak_rss", BYTES, Better.LOWER, Trust.BOUNDED, Cost.ALWAYS, "", "", floor=16384)
TIME = Metric("wall_time", SECONDS, Better.LOWER, Trust.NOISY, Cost.ALWAYS, "", "")


def result(faults: int, test: str = "test_x.py::test_x", isolation: str = "process") -> Result:
    """Return a result with faults and a time."""
    metrics = {"minor_faults": Measured(FAULTS, (faults,)), "wall_time": Measured(TIME, (faults / 100,))}
    return Result(test, "call", isolation, "glibc", metrics=metrics)


def history(*runs: Run, test: str = "test_x.py::test_x") -> dict[str, Series]:
    """Return the series of a test by metric."""
    return {line.metric.name: line for line in series(enumerate(runs, 1), test)}


def run(*results: Result, kernel: str = "6.1") -> Run:
    """Return a run."""
    return Run("2026-01-01T00:00:00+00:00", environment=Environment(kernel=kernel), results=list(results))


def of(metric: Metric, *values: float, isolation: str = "process", uncertainty: float = 0) -> Series:
    """Return the series of a metric that has these values, one a run."""
    results = [
        Result("t.py::t", "call", isolation, "glibc", metrics={metric.name: Measured(metric, (value,), uncertainty)})
        for value in values
    ]
    return history(*map(run, results), test="t.py::t")[metric.name]


def noise(length: int, level: float, seed: int = 0) -> list[float]:
    """Return values that lie a few percent round a level."""
    return list(level * (1 + np.random.default_rng(seed).normal(0, 0.02, length)))


class TestByValue:
    """What two values tell apart."""

    def test_steps(self) -> None:
        """Each value beyond the floor begins a level: with its direction, its size and the run before."""
        line = history(run(result(100)), run(result(101)), run(result(500)), run(result(90)))["minor_faults"]
        assert [point.measured.value for point in line.points] == [100, 101, 500, 90]
        found = [(step.change, step.last.number, step.first.number, step.before, step.after) for step in line.steps]
        assert found == [(Change.WORSE, 2, 3, 100, 500), (Change.BETTER, 3, 4, 500, 90)]
        assert line.steps[0].reason == "apart by 400, of which a layout explains 16"
        assert line.steps[0].earliest is line.steps[0].first is line.steps[0].latest

    def test_a_creep(self) -> None:
        """What stays below the floor from run to run is a step once it has left its level."""
        line = of(FAULTS, 100, 110, 120, 130, 140)
        assert [(step.first.number, step.before, step.after) for step in line.steps] == [(3, 100, 120), (5, 120, 140)]

    def test_without_a_better_direction(self) -> None:
        """It has changed."""
        assert [step.change for step in of(PAGES, 5, 6).steps] == [Change.CHANGED]

    @pytest.mark.parametrize("length", [2, 10, 200])
    def test_the_floor_is_no_step(self, length: int) -> None:
        """A series that never leaves the floor has none."""
        assert not of(FAULTS, *(100 + number % 17 for number in range(length))).steps

    def test_a_count_that_does_not_repeat(self) -> None:
        """Is noise: no step, and what it takes to tell one."""
        line = of(FAULTS, *[100, 300] * 7)
        assert not line.steps
        assert line.untold == "it differs from run to run; change points take 16 runs, 14 are there"
        values = [*np.random.default_rng(1).integers(100, 200, 30), *np.random.default_rng(2).integers(400, 500, 20)]
        (step,) = of(FAULTS, *map(int, values)).steps
        assert (step.first.number, step.change) == (31, Change.WORSE)


class TestChangePoints:
    """What takes many values."""

    def test_times(self) -> None:
        """A level that stays: with its run, the one before, and where it lies beyond doubt."""
        line = of(TIME, *noise(30, 1.0), *noise(10, 1.3, 1))
        (step,) = line.steps
        assert (step.change, step.last.number, step.first.number) == (Change.WORSE, 30, 31)
        assert (step.earliest.number, step.latest.number) == (31, 31)
        assert step.after / step.before == pytest.approx(1.3, rel=0.05)
        assert " in the runs before, " in step.reason
        assert not line.untold

    def test_times_of_few_runs(self) -> None:
        """Tell nothing, and how many it takes."""
        line = history(run(result(100)), run(result(500)))["wall_time"]
        assert not line.steps
        assert line.untold == "noisy; change points take 16 runs, 2 are there"

    def test_inline(self) -> None:
        """What ran before has a part in it."""
        line = history(run(result(100, isolation="inline")), run(result(500, isolation="inline")))["minor_faults"]
        assert not line.steps
        assert line.untold.startswith("inline: it depends on the tests before; change points take 16 runs")
        (step,) = of(FAULTS, *[100, 101] * 10, *[150, 152] * 5, isolation="inline").steps
        assert step.first.number == 21

    def test_within_its_uncertainty(self) -> None:
        """A level that lies no further off than the readings do is the same."""
        values = [*noise(20, 10e6), *noise(20, 12e6, 1)]
        assert of(PEAK, *values, isolation="inline", uncertainty=64 * 1024).steps
        assert not of(PEAK, *values, isolation="inline", uncertainty=2**20).steps

    def test_without_the_library(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Exact metrics have their steps all the same."""
        monkeypatch.setitem(sys.modules, "ruptures", None)
        found = history(*[run(result(100))] * 20, *[run(result(500))] * 20)
        assert [step.first.number for step in found["minor_faults"].steps] == [21]
        assert not found["wall_time"].steps
        assert found["wall_time"].untold == "noisy; change points take: pip install 'pytest-memperf[history]'"


class TestComparable:
    """Which values are held to each other."""

    def test_another_environment(self) -> None:
        """Begins anew, and says what differs."""
        line = history(run(result(100)), run(result(500), kernel="6.2"), run(result(500), kernel="6.2"))["minor_faults"]
        assert not line.steps
        assert [point.apart for point in line.points] == ["", "kernel 6.1 and 6.2", ""]

    def test_environments_in_turns(self) -> None:
        """Each run is held to those of its own."""
        kernels = ["6.1", "6.2"] * 3
        runs = [
            run(result(faults), kernel=kernel) for faults, kernel in zip([1, 500, 1, 500, 1, 700], kernels, strict=True)
        ]
        line = history(*runs)["minor_faults"]
        assert [(step.last.number, step.first.number) for step in line.steps] == [(4, 6)]

    def test_a_run_without_the_test(self) -> None:
        """The next one is held to the last that had it."""
        line = history(run(result(100)), run(), run(result(500)))["minor_faults"]
        assert [point.number for point in line.points] == [1, 3]
        assert [(step.last.number, step.first.number) for step in line.steps] == [(1, 3)]

    def test_perturbed_results_are_left_out(self) -> None:
        """A debugger's figures are not the test's."""
        spoilt = result(900)
        spoilt.notes = [f"{PERTURBED}measured under pdb"]
        assert len(history(run(result(100)), run(spoilt))["minor_faults"].points) == 1

    def test_another_unit(self) -> None:
        """A figure that a test records in another unit is another figure."""
        figures = [
            run(Result("t.py::t", "call", "process", "glibc", metrics={"x": Measured(metric, (value,))}))
            for metric, value in (
                (Metric("x", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "", ""), 1),
                (Metric("x", BYTES, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "", ""), 1024),
            )
        ]
        line = history(*figures, test="t.py::t")["x"]
        assert not line.steps
        assert line.points[1].apart == "unit count and B"


def test_a_part_of_a_name() -> None:
    """All tests that have it, but one alone where it is that test's whole name."""
    runs = [(1, run(result(1, "t.py::test_a"), result(2, "t.py::test_ab"), result(3, "t.py::test_c")))]
    assert {line.key.test for line in series(runs, "test_a")} == {"t.py::test_a", "t.py::test_ab"}
    assert {line.key.test for line in series(runs, "t.py::test_a")} == {"t.py::test_a"}
    assert not list(series(runs, "test_d"))
