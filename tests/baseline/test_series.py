"""One test over the saved runs."""

from __future__ import annotations

from pytest_memperf.baseline.series import Series, series
from pytest_memperf.model.comparison import Change
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import PERTURBED, Result
from pytest_memperf.model.run import Run
from pytest_memperf.model.units import COUNT, SECONDS

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "", "", floor=4)
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


def test_values_and_changes() -> None:
    """A verdict against the run before, by value; the first has none."""
    points = history(run(result(100)), run(result(101)), run(result(500)), run(result(90)))["minor_faults"].points
    assert [point.measured.value for point in points] == [100, 101, 500, 90]
    assert [point.change for point in points] == [None, Change.SAME, Change.WORSE, Change.BETTER]
    assert [point.number for point in points] == [1, 2, 3, 4]


def test_times_tell_nothing_by_two_runs() -> None:
    """Their values are in the series, without a verdict."""
    points = history(run(result(100)), run(result(500)))["wall_time"].points
    assert [point.change for point in points] == [None, None]


def test_inline_tells_nothing_by_two_runs() -> None:
    """What ran before has a part in it."""
    points = history(run(result(100, isolation="inline")), run(result(500, isolation="inline")))["minor_faults"].points
    assert points[1].change is None
    assert points[1].reason.startswith("inline: it depends on the tests before")


def test_another_environment() -> None:
    """No verdict, and what differs."""
    points = history(run(result(100)), run(result(500), kernel="6.2"))["minor_faults"].points
    assert (points[1].change, points[1].reason) == (None, "kernel 6.1 and 6.2")


def test_a_run_without_the_test() -> None:
    """The next one is held to the last that had it."""
    points = history(run(result(100)), run(), run(result(500)))["minor_faults"].points
    assert [(point.number, point.change) for point in points] == [(1, None), (3, Change.WORSE)]


def test_perturbed_results_are_left_out() -> None:
    """A debugger's figures are not the test's."""
    spoilt = result(900)
    spoilt.notes = [f"{PERTURBED}measured under pdb"]
    assert len(history(run(result(100)), run(spoilt))["minor_faults"].points) == 1


def test_a_part_of_a_name() -> None:
    """All tests that have it, but one alone where it is that test's whole name."""
    runs = [(1, run(result(1, "t.py::test_a"), result(2, "t.py::test_ab"), result(3, "t.py::test_c")))]
    assert {line.key.test for line in series(runs, "test_a")} == {"t.py::test_a", "t.py::test_ab"}
    assert {line.key.test for line in series(runs, "t.py::test_a")} == {"t.py::test_a"}
    assert not list(series(runs, "test_d"))
