"""Units: what a user may write, what it means, and how it is shown again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.units import (
    BYTES,
    COUNT,
    RATE,
    SECONDS,
    SHARE,
    UNITS,
    Unit,
    parse_count,
    parse_number,
    parse_rate,
    parse_share,
    parse_size,
    parse_time,
    unit_named,
)

PARSERS = [parse_size, parse_rate, parse_share, parse_time, parse_count, parse_number]
MULTIPLES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


class TestSizes:
    """``"24 MiB"`` and its relatives."""

    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("24 MiB", 24 << 20),
            ("24 MB", 24 << 20),
            ("24mb", 24 << 20),
            ("24M", 24 << 20),
            ("1.5 KiB", 1536),
            (".5 KiB", 512),
            ("7 B", 7),
            (" 64  GiB ", 64 << 30),
            (4096, 4096),
            (4096.0, 4096),
            (np.int32(4096), 4096),
            (np.float32(4096), 4096),
        ],
    )
    def test_reads_a_size(self, text: object, size: int) -> None:
        """Units are powers of 1024 whatever they are called; numbers are bytes."""
        assert parse_size(text) == size

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "10",
            "0",
            "5 i",
            "MiB",
            "-1 MiB",
            "1 XB",
            "1,5 MiB",
            "1 MiB/s",
            "24 Mi B",
            "nan",
            "1e3",
            None,
            True,
            1.5,
            [],
        ],
    )
    def test_refuses_what_is_no_size(self, text: object) -> None:
        """The error repeats what was written and shows how it should be; a number as text lacks its unit."""
        with pytest.raises(UsageMistake) as error:
            parse_size(text)
        assert str(error.value) == f"{text!r} is not a size: write '24 MiB' or a whole number of bytes"

    def test_shows_an_array_in_one_line(self) -> None:
        """What has a row of numbers is no number, and is told shortened."""
        with pytest.raises(UsageMistake, match=r"^array\(\[0\., 0\..*\.\.\. is not a size: write '24 MiB'") as error:
            parse_size(np.zeros(1000))
        assert "\n" not in str(error.value)

    @given(
        number=st.integers(0, 2**20), prefix=st.sampled_from(sorted(MULTIPLES)), suffix=st.sampled_from(["", "B", "iB"])
    )
    def test_is_the_number_times_the_unit(self, number: int, prefix: str, suffix: str) -> None:
        """Whole numbers are read exactly, up to the largest size there is."""
        if number * MULTIPLES[prefix] <= 2**70 and (prefix or suffix == "B"):
            assert parse_size(f"{number} {prefix}{suffix}") == number * MULTIPLES[prefix]

    @given(st.integers(0, 2**53))
    def test_reads_what_it_shows(self, size: int) -> None:
        """A size that was shown is read as the same size, within the two digits shown."""
        assert parse_size(BYTES.format(size)) == pytest.approx(size, rel=0.006)


@given(st.text(max_size=20))
@example("9" * 400)
@example("9" * 400 + " GiB/s")
@example("9" * 400 + "%")
@example("9" * 400 + " s")
@example("9" * 5000)
@example("²")
@example("١")
def test_any_text_is_a_finite_number_or_a_mistake(text: str) -> None:
    """No text makes a parser fail in another way, or return what no number is."""
    for parse in PARSERS:
        try:
            value = parse(text)
        except UsageMistake:
            continue
        assert math.isfinite(value)
        assert value >= 0


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.integers(), max_size=1)))
@example(10**400)
@example(2**53 + 1)
def test_any_object_is_a_finite_number_or_a_mistake(value: object) -> None:
    """Numbers pass as they are; NaN, infinities, switches and containers are mistakes."""
    for parse in PARSERS:
        try:
            parsed = parse(value)
        except UsageMistake:
            continue
        assert math.isfinite(parsed)
        assert parsed in (value, float(value))  # rates, shares and times are floats, of 53 bits


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_rate, "1.5 GiB/s", 1.5 * 2**30),
        (parse_rate, "100 MB / s", 100 * 2**20),
        (parse_rate, 5, 5.0),
        (parse_share, "90%", 0.9),
        (parse_share, "150 %", 1.5),
        (parse_share, 0.9, 0.9),
        (parse_time, "1.5 ms", 0.0015),
        (parse_time, "2 min", 120.0),
        (parse_time, "3µs", 3e-6),
        (parse_time, 2, 2.0),
        (parse_count, "16,386", 16386),
        (parse_count, "1_000", 1000),
        (parse_count, " 1,234,567 ", 1234567),
        (parse_count, 600.0, 600),
        (parse_number, 2.5, 2.5),
        (parse_number, "1_000", 1000),
        (parse_number, np.float32(0.5), 0.5),
    ],
)
def test_reads_rates_shares_times_and_counts(parse, text, value) -> None:  # type: ignore[no-untyped-def]
    """Each unit has its own way of writing, and takes plain numbers."""
    assert parse(text) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_rate, "1 GiB"),
        (parse_rate, "1 GiB/min"),
        (parse_share, "0.9"),
        (parse_share, "90"),
        (parse_time, "5"),
        (parse_time, "5 h"),
        (parse_rate, "10/s"),
        (parse_count, "1.5"),
        (parse_count, "six"),
        (parse_count, "1,2"),
        (parse_count, "1,234,5"),
        (parse_count, "1234,567"),
        (parse_count, "_1"),
        (parse_number, "1,5"),
        (parse_number, "3 MiB"),
    ],
)
def test_refuses_other_units(parse, text) -> None:  # type: ignore[no-untyped-def]
    """A text without its unit, or with another one, is a mistake with an example."""
    with pytest.raises(UsageMistake, match=r"^'.*' is not a (rate|share|time|count|number): write "):
        parse(text)


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (BYTES, 0, "0 B"),
        (BYTES, 1023, "1023 B"),
        (BYTES, 1024, "1 KiB"),
        (BYTES, 1025, "1.00 KiB"),
        (BYTES, 70 * 2**20, "70 MiB"),
        (BYTES, -(3 << 19), "-1.50 MiB"),
        (BYTES, 2.5, "2 B"),
        (RATE, 1.5 * 2**30, "1.50 GiB/s"),
        (SECONDS, 0, "0 ns"),
        (SECONDS, 0.0015, "1.500 ms"),
        (SECONDS, 61, "61.000 s"),
        (SHARE, 0.931, "93.1 %"),
        (COUNT, 16386, "16,386"),
        (COUNT, 16386.5, "16,386.5"),
        (COUNT, float("nan"), "nan"),
        (BYTES, float("inf"), "inf TiB"),
        (unit_named("rows"), 1234567, "1,234,567 rows"),
    ],
)
def test_shows_a_value(unit: Unit, value: float, text: str) -> None:
    """Values are shown in the scale that leaves one to four digits before the point."""
    assert unit.format(value) == text


class TestSideBySide:
    """The limit as it was written, and the value in its scale unless it is far smaller."""

    @pytest.mark.parametrize(
        ("unit", "value", "limit", "texts"),
        [
            (BYTES, 8 << 20, "1 MiB", ("8 MiB", "1 MiB")),
            (BYTES, 7.75 * 2**20, "1 MiB", ("7.75 MiB", "1 MiB")),
            (BYTES, 8 << 20, "10 KiB", ("8,192 KiB", "10 KiB")),
            (BYTES, 4096, "500 KiB", ("4 KiB", "500 KiB")),
            (BYTES, 41_947_136, 1, ("41,947,136 B", "1 B")),
            (BYTES, 2 << 20, "1.1 MiB", ("2 MiB", "1.1 MiB")),
            (BYTES, 2 << 20, "1.125 MiB", ("2 MiB", "1.125 MiB")),
            (BYTES, 2 << 20, 1_000_000, ("2,097,152 B", "1,000,000 B")),
            (BYTES, 1025, "1 KiB", ("1.001 KiB", "1 KiB")),
            (BYTES, 4096, "1 GiB", ("4 KiB", "1 GiB")),
            (COUNT, 2048, "10", ("2,048", "10")),
            (COUNT, 2048.5, 2048, ("2,048.50", "2,048")),
            (SECONDS, 2.05, "5 ms", ("2,050 ms", "5 ms")),
            (SECONDS, 2e-6, "1.5 ms", ("0.002 ms", "1.5 ms")),
            (SECONDS, 1, 1 / 3, ("1,000 ms", "333.333333333333 ms")),
            (RATE, 2**20, "1.1 GiB/s", ("1 MiB/s", "1.1 GiB/s")),
            (BYTES, 7.75 * 2**20, 0, ("7.75 MiB", "0 MiB")),
            (BYTES, 0, "1 MiB", ("0 B", "1 MiB")),
            (BYTES, 0, 0, ("0 B", "0 B")),
            (SHARE, 0.5, "62.5%", ("50 %", "62.5 %")),
            (unit_named("rows"), 5, 2.5, ("5 rows", "2.5 rows")),
            (SHARE, 1e-6, "5%", ("0.0001 %", "5 %")),
            (COUNT, math.nan, 3, ("nan", "3")),
        ],
    )
    def test_the_limit_reads_as_written(self, unit: Unit, value: float, limit: object, texts: tuple[str, str]) -> None:
        """It chooses the scale, and is never rounded to another one."""
        assert unit.side_by_side(value, unit.parse(limit)) == texts
        assert unit.exactly(unit.parse(limit)) == texts[1] or not limit

    @given(st.integers(0, 2**50))
    def test_a_limit_is_read_as_it_is_shown(self, limit: int) -> None:
        """Whatever its scale and its digits."""
        assert parse_size(BYTES.exactly(limit).replace(",", "")) == limit

    @given(st.integers(1, 2**50), st.integers(1, 2**50))
    def test_shows_on_which_side_the_value_lies(self, value: int, limit: int) -> None:
        """A value over its limit never looks like the limit."""
        shown, beside = (parse_size(text.replace(",", "")) for text in BYTES.side_by_side(value, limit))
        assert beside == limit
        assert abs(value - limit) < 1e-8 * limit or (shown > limit) is (value > limit)


def test_units_are_found_by_name() -> None:
    """Every unit is listed under its own name; any other word becomes a unit of numbers."""
    assert all(unit_named(name) is unit and unit.name == name for name, unit in UNITS.items())
    assert unit_named("rows").parse(2.5) == 2.5


@pytest.mark.parametrize("value", [1.5, np.float64(0.5)])
def test_a_count_is_whole(value: float) -> None:
    """A fraction of a page fault is a mistake in the limit, not a limit; a figure in another unit may have one."""
    with pytest.raises(UsageMistake, match=r"is not a count: write a whole number such as 600$"):
        parse_count(value)
