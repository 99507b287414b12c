"""Results of several layouts become one, and no sample and no doubt gets lost."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.model.budget import Bound, Budget, Status
from pytest_memperf.model.joining import join_results
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Reading, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import COUNT

FAULTS = Metric("faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source="")
OTHER = replace(FAULTS, name="other")
COUNTS = st.integers(0, 10**9)
READINGS = st.lists(st.builds(Reading, COUNTS, st.integers(0, 1000)), min_size=1, max_size=4)
RUNS = st.lists(READINGS, min_size=1, max_size=6)


def result_of(readings: list[Reading], limit: int = 10**9, **more: object) -> Result:
    """A result with one metric, and a budget on it."""
    measured = Measured.from_readings(FAULTS, readings)
    check = Budget(FAULTS, Bound.MAX, limit).check(measured)
    return replace(
        Result("t", "call", rounds=len(readings), metrics={"faults": measured}, checks=[check]),
        **more,  # type: ignore[arg-type]
    )


@given(RUNS, COUNTS)
def test_all_samples_and_their_doubt_are_kept(runs: list[list[Reading]], limit: int) -> None:
    """The interval covers every sample that lies within the spread, and no single uncertainty is lost."""
    (joined,) = join_results([[result_of(readings, limit)] for readings in runs])
    faults = joined.metrics["faults"]
    every = [reading for readings in runs for reading in readings]
    values = [reading.value for reading in every]
    assert faults.samples == tuple(values)
    assert faults.uncertainty == max((max(values) - min(values)) / 2, *(reading.uncertainty for reading in every), 0)
    assert joined.layouts == len(runs)
    (check,) = joined.checks
    assert check.measured == faults
    assert (check.status is Status.FAILED) == (faults.value - faults.uncertainty > limit)


@given(RUNS)
def test_runs_and_rounds_join_alike(runs: list[list[Reading]]) -> None:
    """Layouts of a round each come to what as many rounds of one layout come to."""
    every = [reading for readings in runs for reading in readings]
    (joined,) = join_results([[result_of([reading])] for reading in every])
    assert joined.metrics["faults"] == Measured.from_readings(FAULTS, every)


@given(READINGS)
def test_one_run_stays_as_it_is(readings: list[Reading]) -> None:
    """Joined with nothing it is the same result."""
    only = result_of(readings)
    assert join_results([[only]]) == [only]


def test_metric_that_a_layout_lacks_is_unavailable() -> None:
    """It is not joined, nor judged, from some of the layouts only: the reason says how many lack it, and why."""
    measured = Measured(OTHER, (7,))
    first = result_of([Reading(1)])
    first = replace(first, metrics={**first.metrics, "other": measured}, unavailable={"third": "not here"})
    first.checks.append(Budget(OTHER, Bound.MAX, 1).check(measured))
    second = result_of([Reading(3)], unavailable={"other": "out of luck"})
    (joined,) = join_results([[first], [second], [first]])
    assert joined.metrics["faults"].samples == (1, 3, 1)
    assert "other" not in joined.metrics
    reason = "in 1 of 3 memory layouts: out of luck"
    assert joined.unavailable == {"third": "not here", "other": reason}
    kept, unchecked = joined.checks
    assert kept.measured == joined.metrics["faults"]
    assert (unchecked.status, unchecked.measured, unchecked.reason) == (Status.UNCHECKED, None, reason)


def test_metric_that_a_layout_does_not_speak_of() -> None:
    """It is unavailable as well: a value that the test records is its own affair in each layout."""
    first = result_of([Reading(1)])
    first = replace(first, metrics={**first.metrics, "other": Measured(OTHER, (7,))})
    (joined,) = join_results([[first], [result_of([Reading(3)])]])
    assert joined.unavailable == {"other": "in 1 of 2 memory layouts: not measured"}


def test_notes_are_kept_once() -> None:
    """What every layout says is said once."""
    runs = [[result_of([Reading(1)], notes=["a", note])] for note in ("b", "c")]
    assert join_results(runs)[0].notes == ["a", "b", "c"]


def test_window_of_the_first_layout_alone() -> None:
    """It keeps its own samples and verdict, and says so; one that only others have is left out."""
    alone, both = result_of([Reading(9)], window="alone"), result_of([Reading(1)])
    joined = join_results([[alone, both], [both, result_of([Reading(2)], window="late")]])
    assert [(each.window, each.layouts) for each in joined] == [("alone", 1), ("call", 2)]
    assert joined[0].metrics == alone.metrics
    assert joined[0].notes == ["samples of one layout: 1 others did not come to this window"]


def test_unchecked_budgets_stay_unchecked() -> None:
    """A budget with a reason is not judged by the joining."""
    unchecked = Budget(OTHER, Bound.MAX, 1).check(None, "not here")
    first, second = result_of([Reading(1)]), result_of([Reading(1)])
    first.checks.append(unchecked)
    assert join_results([[first], [second]])[0].checks[1] == unchecked
