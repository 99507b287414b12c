"""The parts of the table: scales of columns, the rows that are kept, the remarks below."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.model.budget import Bound, Budget, Check, Status, Verdict
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import BYTES, COUNT, SECONDS, SHARE, Unit, unit_named
from pytest_memperf.report.block import Remarks
from pytest_memperf.report.columns import column_of
from pytest_memperf.report.rows import Rows, order, row_of

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source="")


def result(test: str, faults: int = 0, *checks: Check, **more: object) -> Result:
    """Return a result with this number of faults."""
    metrics = {"minor_faults": Measured(FAULTS, (faults,))}
    return Result(test, "call", metrics=metrics, checks=list(checks), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("unit", "values", "scale", "texts"),
    [
        (BYTES, [8 << 20, 1 << 20, 0], "MiB", ["8", "1", "0"]),
        (BYTES, [8 << 20, 3 << 19, 4096, 0], "MiB", ["8.00", "1.50", "<0.01", "0"]),
        (BYTES, [-4096, 5 << 20, 3 << 19, 7 << 20], "MiB", [">-0.01", "5.00", "1.50", "7.00"]),
        (SECONDS, [0.0015, 2.0, 0.0021], "ms", ["1.50", "2,000.00", "2.10"]),
        (COUNT, [2048, 10, 0], "", ["2,048", "10", "0"]),
        (COUNT, [2048.5, 10], "", ["2,048.5", "10.0"]),
        (SHARE, [0.931, 0.5], "%", ["93.1", "50.0"]),
        (unit_named("rows"), [5, 1000], "rows", ["5", "1,000"]),
        (BYTES, [], "B", []),
    ],
)
def test_a_column_has_one_scale(unit: Unit, values: list[float], scale: str, texts: list[str]) -> None:
    """That of the middle value; only what is nothing reads 0."""
    column = column_of("x", unit, values)
    assert column.scale == scale
    assert [column.text(value) for value in values] == texts
    assert column.text(None) == "-"


def test_uncertainties_stand_beside_their_values() -> None:
    """The points of the values stay in line; what has none is whole, or not measured, keeps the room free."""
    column = column_of("x", BYTES, [256 << 20, 3 << 19, 2 << 20, 0], [3 << 18, 11 << 20])
    cells = [(256 << 20, 0), (3 << 19, 3 << 18), (20 << 20, 11 << 20), (0, 0), (0, 1), (None, 0)]
    assert column_of("x", BYTES, [0, 0], [300 << 10]).text(0, 300 << 10) == "0 ±300"
    assert [column.text(*cell) for cell in cells] == [
        "256.00       ",
        "1.50  ±0.75",
        "20.00 ±11.00",
        "0       ",
        "0 ±<0.01",
        "-       ",
    ]


@given(st.lists(st.integers(-(2**50), 2**50), min_size=1))
def test_only_nothing_reads_as_nothing(values: list[int]) -> None:
    """Whatever else stands in the column."""
    column = column_of("x", BYTES, values)
    assert all((column.text(value) == "0") is (value == 0) for value in values)


class TestRows:
    """The rows that are kept."""

    @pytest.mark.parametrize("sort", [None, "name", "minor_faults"])
    def test_the_first_of_many_are_those_of_all(self, sort: str | None) -> None:
        """Dropping rows on the way changes nothing about the first ones."""
        chance = random.Random(1)
        budget = Budget(FAULTS, Bound.MAX, 1)
        few, every = Rows(order(sort), 10), Rows(order(sort), None)
        for number in range(1000):
            checks = [Check(budget, chance.choice(list(Status)))] if chance.random() < 0.5 else []
            each = result(f"test_{number:04}", chance.randrange(100), *checks)
            few.add(each)
            every.add(each)
        assert few.first() == every.first()[:10]
        assert len(few.first()) == 10
        assert few.count == every.count == 1000

    def test_the_worst_verdict_counts(self) -> None:
        """Failed before warned before unchecked before passed, for a test and for a metric with both bounds."""
        checks = [
            Check(Budget(FAULTS, Bound.MAX, 1), Status.PASSED),
            Check(Budget(FAULTS, Bound.MIN, 1), Status.FAILED),
            Check(Budget(FAULTS, Bound.MIN, 2, soft=True), Status.FAILED),
            Check(Budget(FAULTS, Bound.MAX, 2), Status.UNCHECKED, reason="why"),
        ]
        row = row_of(result("t", 0, *checks), {})
        assert row.verdicts == {"minor_faults": Verdict.FAILED}
        assert row.worst is Verdict.FAILED
        assert row.checks == dict.fromkeys(Verdict, 1)

    @pytest.mark.parametrize(
        ("trust", "value", "uncertainty", "shown"),
        [
            (Trust.BOUNDED, 1000, 10, False),
            (Trust.BOUNDED, 1000, 11, True),
            (Trust.BOUNDED, -1000, 11, True),
            (Trust.BOUNDED, 0, 1, True),
            (Trust.BOUNDED, 0, 0, False),
            (Trust.EXACT, 1000, 11, True),
            (Trust.NOISY, 1000, 500, False),
        ],
    )
    def test_uncertainties_that_are_not_small_are_kept(
        self, trust: Trust, value: int, uncertainty: int, shown: bool
    ) -> None:
        """Beyond 1 % of the value; times and rates have none."""
        metric = Metric("load", BYTES, Better.LOWER, trust, Cost.ALWAYS, help="", source="")
        row = row_of(Result("t", "call", metrics={"load": Measured(metric, (value,), uncertainty)}), {})
        assert row.uncertainties == ({"load": uncertainty} if shown else {})

    def test_one_name_in_two_units_is_two_columns(self) -> None:
        """Two tests may record figures of one name."""
        units: dict[str, Unit] = {}
        rows = []
        for unit in (COUNT, BYTES):
            metric = Metric("load", unit, Better.LOWER, Trust.EXACT, Cost.ON_REQUEST, help="", source="")
            rows.append(row_of(Result("t", "call", metrics={"load": Measured(metric, (1,))}), units))
        assert [list(row.values) for row in rows] == [["load"], ["load (B)"]]
        assert units == {"load": COUNT, "load (B)": BYTES}


class TestRemarks:
    """The lines below the table."""

    def test_each_is_there_once(self) -> None:
        """Unchecked budgets, missing metrics, notes; what is told of a budget is not told again of its metric."""
        remarks = Remarks()
        unchecked = Check(Budget(FAULTS, Bound.MAX, 1), Status.UNCHECKED, reason="no /proc: mount it")
        missing = {"minor_faults": "no /proc: mount it", "pss": "no /proc: mount it", "uss": "too old: update"}
        for number in range(2000):
            spoilt = result(f"t{number}", 0, unchecked, unavailable=missing, notes=["memory was reclaimed"])
            remarks.add(spoilt)
            remarks.add_unavailable(row_of(spoilt, {}))
        remarks.add(result("last", notes=["under coverage"]))
        assert remarks.lines(50) == [
            "max_minor_faults was not checked in t0 and 1,999 more: no /proc: mount it",
            "pss unavailable: no /proc: mount it",
            "uss unavailable: too old: update",
            "note: memory was reclaimed (t0 and 1,999 more)",
            "note: under coverage (last)",
        ]

    def test_a_named_window_is_told_with_its_test(self) -> None:
        """A test may have several."""
        remarks = Remarks()
        check = Check(Budget(FAULTS, Bound.MAX, 1), Status.UNCHECKED, reason="why")
        remarks.add(replace(result("t", 0, check), window="a\nb"))
        assert remarks.lines(None) == ["max_minor_faults was not checked in t, window 'a\\nb': why"]

    def test_many_kinds_are_cut(self) -> None:
        """As the rows are, without -v."""
        remarks = Remarks()
        for number in range(60):
            remarks.add(result("t", notes=[f"note {number}"]))
        assert len(remarks.lines(None)) == 60
        assert remarks.lines(50)[49:] == ["note: note 49 (t)", "... and 10 more such lines (-v)"]
