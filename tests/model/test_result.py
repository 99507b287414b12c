"""Results: the same thing as objects and as plain data."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.model.budget import Bound, Budget, Check, Status
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import UNITS, unit_named

NUMBERS = st.one_of(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False))
WORDS = st.text(min_size=1, max_size=12)
METRICS = st.builds(
    Metric,
    name=st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
    unit=st.sampled_from([*UNITS.values(), unit_named("rows")]),
    better=st.sampled_from(Better),
    trust=st.sampled_from(Trust),
    cost=st.just(Cost.ON_REQUEST),
    help=st.just(""),
    source=st.just(""),
)
MEASURED = st.builds(Measured, METRICS, st.lists(NUMBERS, min_size=1, max_size=5).map(tuple), st.integers(0, 2**40))


@st.composite
def results(draw: st.DrawFn) -> Result:
    """A result whose checks are about its own metrics, or about one that it could not have."""
    metrics = {measured.metric.name: measured for measured in draw(st.lists(MEASURED, max_size=4))}
    checks = [
        Check(Budget(measured.metric, bound, limit), status, measured)
        for measured in metrics.values()
        for bound, limit, status in draw(
            st.lists(st.tuples(st.sampled_from(Bound), NUMBERS, st.sampled_from([Status.PASSED, Status.FAILED])))
        )
    ]
    absent = Metric("absent", UNITS["B"], Better.NEITHER, Trust.NOISY, Cost.ON_REQUEST, "", "")
    if draw(st.booleans()) and "absent" not in metrics:
        checks.append(Check(Budget(absent, Bound.MAX, 1), Status.UNCHECKED, None, "not on this machine"))
    return Result(
        test=draw(WORDS),
        window=draw(WORDS),
        isolation=draw(st.sampled_from(["inline", "process"])),
        rounds=draw(st.integers(1, 9)),
        layouts=draw(st.integers(1, 9)),
        metrics=metrics,
        unavailable=draw(st.dictionaries(WORDS, WORDS, max_size=3)),
        checks=checks,
        notes=draw(st.lists(WORDS, max_size=2)),
    )


@given(results())
def test_plain_data_brings_the_result_back(result: Result) -> None:
    """Through JSON text and back, every number, verdict and word is the same."""
    again = Result.from_json(json.loads(json.dumps(result.as_json())))
    assert again.as_json() == result.as_json()
    assert [check.sentence for check in again.checks] == [check.sentence for check in result.checks]
    assert again.failed == [check for check in again.checks if check.status is Status.FAILED]


def test_value_is_the_median_of_the_samples() -> None:
    """An outlier among the rounds does not move the value."""
    metric = Metric("x", UNITS["s"], Better.LOWER, Trust.NOISY, Cost.ALWAYS, "", "")
    result = Result("t", "call", rounds=3, metrics={"x": Measured(metric, (1.0, 99.0, 2.0))})
    assert result.as_json()["metrics"]["x"]["value"] == 2.0
    assert result.as_json()["metrics"]["x"]["samples"] == [1.0, 99.0, 2.0]
