"""Budgets: limits as written, and verdicts that no uncertainty can turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.model.budget import Bound, Budget, Status
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.units import BYTES, COUNT, SHARE

PEAK = Metric("peak_rss", BYTES, Better.LOWER, Trust.BOUNDED, Cost.ALWAYS, help="", source="")
FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source="")
BANDWIDTH = Metric("bandwidth_share", SHARE, Better.HIGHER, Trust.NOISY, Cost.ON_REQUEST, help="", source="")


@pytest.mark.parametrize(
    ("bound", "value", "status"),
    [
        (Bound.MAX, 99, Status.PASSED),
        (Bound.MAX, 100, Status.PASSED),
        (Bound.MAX, 101, Status.FAILED),
        (Bound.MIN, 101, Status.PASSED),
        (Bound.MIN, 100, Status.PASSED),
        (Bound.MIN, 99, Status.FAILED),
    ],
)
def test_exact_values_are_judged_at_the_limit(bound: Bound, value: int, status: Status) -> None:
    """The limit itself is allowed."""
    assert Budget(FAULTS, bound, 100).check(Measured(FAULTS, (value,))).status is status


@given(st.sampled_from(Bound), st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 100))
def test_fails_only_where_every_possible_value_fails(bound: Bound, limit: int, value: int, slack: int) -> None:
    """A value is failed where both ends of its interval lie beyond the limit."""
    check = Budget(PEAK, bound, limit).check(Measured(PEAK, (value,), slack))
    beyond = [end > limit if bound is Bound.MAX else end < limit for end in (value - slack, value + slack)]
    assert (check.status is Status.FAILED) is all(beyond)


def test_without_a_value_is_unchecked_with_the_reason() -> None:
    """What could not be measured is neither passed nor failed."""
    check = Budget.parse(PEAK, Bound.MAX, "1 MiB").check(None, "no clear_refs here")
    assert check.status is Status.UNCHECKED
    assert check.ratio is None
    assert check.sentence == "max_peak_rss = 1 MiB was not checked: no clear_refs here"


@pytest.mark.parametrize(
    ("metric", "bound", "limit", "samples", "uncertainty", "sentence"),
    [
        (PEAK, Bound.MAX, "1 MiB", (8 << 20,), 0, "peak_rss 8 MiB is over max_peak_rss = 1 MiB"),
        (PEAK, Bound.MAX, "1 MiB", (8 << 20,), 4096, "peak_rss 8 MiB is over max_peak_rss = 1 MiB (± 4 KiB)"),
        (PEAK, Bound.MAX, "1 KiB", (1025,), 0, "peak_rss 1.001 KiB is over max_peak_rss = 1 KiB"),
        (FAULTS, Bound.MIN, 10, (3,), 0, "minor_faults 3 is under min_minor_faults = 10"),
        (FAULTS, Bound.MAX, 10, (3, 4, 5), 0, "minor_faults 4 is within max_minor_faults = 10"),
    ],
)
def test_says_the_verdict_in_one_sentence(metric, bound, limit, samples, uncertainty, sentence) -> None:  # type: ignore[no-untyped-def]
    """Value and limit are shown so that they differ to the eye."""
    assert Budget.parse(metric, bound, limit).check(Measured(metric, samples, uncertainty)).sentence == sentence


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("much", "max_peak_rss: 'much' is not a size: write '24 MiB' or a whole number of bytes"),
        (-1, "max_peak_rss=-1 is negative: a limit is 0 or more"),
    ],
)
def test_refuses_a_wrong_limit(value: object, text: str) -> None:
    """The mistake names the marker's argument."""
    with pytest.raises(UsageMistake) as error:
        Budget.parse(PEAK, Bound.MAX, value)
    assert str(error.value) == text


@pytest.mark.parametrize(("value", "limit"), [(0.9, 0.9), (1, 1.0), ("150%", 1.5), ("90%", 0.9)])
def test_a_share_is_of_one(value: object, limit: float) -> None:
    """A limit above 1 is one where it is written as text."""
    assert Budget.parse(BANDWIDTH, Bound.MIN, value).limit == limit


def test_a_share_that_forgot_its_sign_is_refused() -> None:
    """90 is more often 90 % than 9,000 %."""
    with pytest.raises(UsageMistake) as error:
        Budget.parse(BANDWIDTH, Bound.MIN, 90)
    assert str(error.value) == "min_bandwidth_share=90 is 9,000 %: write '90%', or '9000%' if so meant"


def test_ratio_is_of_the_limit() -> None:
    """A limit of 0 has no ratio."""
    assert Budget(FAULTS, Bound.MAX, 4).check(Measured(FAULTS, (10,))).ratio == 2.5
    assert Budget(FAULTS, Bound.MAX, 0).check(Measured(FAULTS, (10,))).ratio is None
