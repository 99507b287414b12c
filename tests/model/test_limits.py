"""What a regression is: limits as users write them, and which comparisons they fail."""

from __future__ import annotations

import pytest

from pytest_memperf.model.comparison import Change, Comparison, Side
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.metric import Better, Cost, Metric, Trust
from pytest_memperf.model.result import Key
from pytest_memperf.model.units import BYTES, COUNT, RATE, SECONDS, Unit

KEY = Key("test_it.py::test_it", "call", "glibc", "process")


def comparison(name: str, unit: Unit, base: float, head: float, change: Change = Change.WORSE) -> Comparison:
    """Return a comparison of two values."""
    metric = Metric(name, unit, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source="")
    return Comparison(KEY, metric, change, base=Side(base, base, base), head=Side(head, head, head))


@pytest.mark.parametrize(
    ("limit", "unit", "base", "allowed", "beyond"),
    [
        ("x:5%", BYTES, 1000, 1050, 1051),
        ("x:5%", RATE, 1000, 950, 949),
        ("x:5%", COUNT, 0, 0, 1),
        ("x:0", COUNT, 100, 100, 101),
        ("x:20", COUNT, 100, 120, 121),
        ("x: 1_000 ", COUNT, 100, 1100, 1101),
        ("x:1 MiB", BYTES, 0, 1 << 20, (1 << 20) + 1),
        ("x:4096", BYTES, 0, 4096, 4097),
        ("x:0.5 s", SECONDS, 1, 1.5, 1.51),
        ("x", COUNT, 100, 100, 101),
    ],
)
def test_fails_what_is_worse_by_more(limit: str, unit: Unit, base: float, allowed: float, beyond: float) -> None:
    """A share of the base's value, or an amount in the metric's unit; the limit itself is allowed, either way."""
    limits = Limits.parse([limit])
    assert limits.judged(comparison("x", unit, base, beyond)).failing
    if limit != "x":
        assert not limits.judged(comparison("x", unit, base, allowed)).failing


@pytest.mark.parametrize("change", [change for change in Change if change is not Change.WORSE])
@pytest.mark.parametrize("written", [[], ["x:0"], ["x"]])
def test_only_what_is_worse_fails(written: list[str], change: Change) -> None:
    """Whatever the values; above all nothing that is unsure."""
    assert not Limits.parse(written).judged(comparison("x", COUNT, 1, 100, change)).failing


def test_without_limits_all_that_is_worse_fails() -> None:
    """With some, the metrics that have none do not; with none, nothing does."""
    worse = comparison("x", COUNT, 1, 2)
    assert Limits.parse([]).judged(worse).failing
    assert Limits().judged(worse).failing
    assert not Limits.parse(["y:0"]).judged(worse).failing
    assert not Limits.parse(["none"]).judged(worse).failing
    assert not Limits().judged(Comparison(KEY, None, Change.GONE)).failing


def test_of_one_metric_the_last_limit_counts() -> None:
    """A command line adds to what a script gives."""
    assert Limits.parse(["x:0", "x:50%"]).judged(comparison("x", COUNT, 100, 120)).failing is False


@pytest.mark.parametrize(
    ("written", "mistake"),
    [
        (["x:"], "'x:' is no limit: write METRIC:LIMIT, such as peak_rss:5% or minor_faults:0"),
        ([":5%"], "':5%' is no limit: write METRIC:LIMIT, such as peak_rss:5% or minor_faults:0"),
        (["x:-1"], "x:-1 is negative: a limit is 0 or more"),
        (["x:-5%"], "x:-5% is negative: a limit is 0 or more"),
        (["none", "x:1"], "'none' leaves no limit: give it alone, or leave it out"),
    ],
)
def test_refuses_what_is_no_limit(written: list[str], mistake: str) -> None:
    """At once, in one line."""
    with pytest.raises(UsageMistake) as error:
        Limits.parse(written)
    assert str(error.value) == mistake


@pytest.mark.parametrize("change", [Change.WORSE, Change.SAME, Change.BETTER])
@pytest.mark.parametrize(
    ("limit", "mistake"),
    [
        ("x:5 MiB", "x:5 MiB: '5 MiB' is not a count: write a whole number such as 600, or a share such as '5%'"),
        ("x:a%", "x:a%: 'a%' is not a share: write '90%' or 0.9, or a share such as '5%'"),
    ],
)
def test_refuses_a_limit_of_another_unit(limit: str, mistake: str, change: Change) -> None:
    """Whatever became of the metric: a limit that cannot be is told before the day on which it is needed."""
    with pytest.raises(UsageMistake) as error:
        Limits.parse([limit]).judged(comparison("x", COUNT, 1, 2, change))
    assert str(error.value) == mistake


def test_names_limits_that_no_metric_has() -> None:
    """They would never fail."""
    assert Limits.parse(["x:0", "y:5%"]).unknown({"x"}) == ["y"]
    assert Limits.parse([]).unknown(set()) == Limits.parse(["none"]).unknown(set()) == []
