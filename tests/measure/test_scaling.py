"""Classes of growth, on made-up values."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from pytest_memperf.measure.scaling import CLASSES, Growth, growth_of, parse_classes, parse_sizes
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.metric import Better, Cost, Metric, Reading, Trust
from pytest_memperf.model.units import BYTES, COUNT, SECONDS, Unit

MIB = 1024 * 1024
SHAPES: dict[str, Callable[[float], float]] = {
    "O(1)": lambda n: 1.0,
    "O(log n)": lambda n: math.log2(n),
    "O(n)": lambda n: n,
    "O(n log n)": lambda n: n * math.log2(n),
    "O(n**2)": lambda n: n**2,
}
SIZES = ([16 * MIB, 64 * MIB, 256 * MIB], [10, 20, 40, 80], [1, 8, 64], [100, 1_000, 10_000, 100_000])


def metric(unit: Unit = COUNT) -> Metric:
    """Return a row of this unit."""
    return Metric("figure", unit, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "", "")


def growth(sizes: list[int], values: list[float], uncertainty: float = 0, unit: Unit = COUNT) -> Growth:
    """Return how the values grow."""
    return growth_of(metric(unit), parse_sizes({"n": sizes})[0], [Reading(value, uncertainty) for value in values])


class TestClass:
    """The one that fits best."""

    @pytest.mark.parametrize("sizes", SIZES, ids=str)
    @pytest.mark.parametrize("planted", CLASSES)
    def test_100_of_100_with_noise(self, sizes: list[int], planted: str) -> None:
        """Values off by up to 1 %, and a constant that does not hide the growth: never another class."""
        chance = random.Random(planted)
        shape = SHAPES[planted]
        lift = 1000 / max(shape(sizes[0]), 1.0)  # so that the floor of a count is small beside the first value
        for _ in range(100):
            constant = chance.uniform(0, 0.05) * 1000
            values = [(constant + lift * shape(size)) * chance.uniform(0.99, 1.01) for size in sizes]
            assert growth(sizes, values).best.growth == planted

    def test_exact_values_leave_no_residual(self) -> None:
        """The curve goes through them; the others show how far they are."""
        found = growth([10, 20, 40, 80], [100 + 3 * n for n in (10, 20, 40, 80)])
        assert found.best.growth == "O(n)"
        assert found.best.values == pytest.approx([130, 160, 220, 340])
        assert found.best.residual < 1e-6
        assert found.curves["O(1)"].residual > 0.1

    @pytest.mark.parametrize(("uncertainty", "best"), [(0, "O(n)"), (40 * MIB, "O(1)")])
    def test_what_lies_within_the_uncertainty_is_no_growth(self, uncertainty: int, best: str) -> None:
        """So that no verdict is luck."""
        values: list[float] = [50 * MIB, 55.6 * MIB, 100 * MIB]
        assert growth([10, 20, 100], values, uncertainty, BYTES).best.growth == best

    @pytest.mark.parametrize(("more", "best"), [(15, "O(1)"), (200, "O(n)")])
    def test_a_few_pages_are_no_growth(self, more: int, best: str) -> None:
        """They come and go by where things lie; many do not."""
        assert growth([10, 20, 100], [5, 5 + more / 9, 5 + more]).best.growth == best

    def test_where_no_class_fits_a_slow_one_is_not_taken_for_a_fast_one(self) -> None:
        """Noise without a trend is constant; a trend with noise is not."""
        assert growth([1, 10, 100], [1.0, 1.3, 0.9], unit=SECONDS).best.growth == "O(1)"
        assert growth([1, 10, 100], [0.0007, 0.0106, 0.047], unit=SECONDS).best.growth in ("O(log n)", "O(n)")

    def test_values_of_zero_and_below(self) -> None:
        """Nothing divides by them."""
        assert growth([1, 10, 100], [0, 0, 0]).best.growth == "O(1)"
        assert growth([1, 10, 100], [0, 0, 0], unit=SECONDS).best.growth == "O(1)"
        assert growth([1, 10, 100], [-MIB, -MIB, -MIB], unit=BYTES).best.growth == "O(1)"

    def test_what_shrinks_does_not_grow(self) -> None:
        """It is of the slowest class."""
        assert growth([1, 10, 100], [1000, 500, 100]).best.growth == "O(1)"


class TestVerdict:
    """What is told."""

    @pytest.mark.parametrize(("allowed", "exceeds"), [("O(1)", True), ("O(log n)", True), ("O(n)", False)])
    def test_a_slower_class_is_within(self, allowed: str, exceeds: bool) -> None:
        """A faster one is not."""
        assert growth([10, 20, 80], [1000, 2000, 8000]).exceeds(allowed) is exceeds
        assert not growth([10, 20, 80], [1000, 2000, 8000]).exceeds("O(n**2)")

    def test_sentence_and_table(self) -> None:
        """The line names both classes; the table has each size with its value, and what each class makes of it."""
        found = growth_of(
            metric(BYTES),
            *parse_sizes({"size": ["1 MiB", "4 MiB", "16 MiB"]}),
            [Reading(n * MIB, 4096) for n in (1, 4, 16)],
        )
        assert found.sentence("O(1)").startswith("figure grows as O(n) with size, faster than O(1) (residual 0.0%; ")
        head, first, _, last, residual = found.table()
        assert head.split("  ")[-1].strip() == "O(n**2)"
        assert first.split()[:7] == ["1", "MiB", "1", "MiB", "±", "4", "KiB"]
        assert last.split()[:4] == ["16", "MiB", "16", "MiB"]
        assert residual.split()[0] == "residual"
        assert residual.split()[3] == "0.0%"
        assert len({len(line) for line in (head, first, last, residual)}) == 1


class TestMistakes:
    """Each is a line that names the mend."""

    @pytest.mark.parametrize(
        "sizes",
        [
            [],
            [1],
            [1, 8],
            [1, 1, 8],
            [1, 4, 7],
            [10, 19, 80],
            [10, 20, 79],
            [0, 10, 100],
            [-1, 10, 100],
            ["1 MiB", "1024 KiB", "8 MiB"],
        ],
        ids=str,
    )
    def test_too_few_or_too_close(self, sizes: list[Any]) -> None:
        """At n - 1 of each limit."""
        with pytest.raises(
            UsageMistake, match=r"give 3 sizes above 0 or more, each 2 times .* the last 8 times the first"
        ):
            parse_sizes({"n": sizes})

    @pytest.mark.parametrize("sizes", [[1, 2, 8], [10, 20, 80], ["8 MiB", "1 MiB", "2 MiB"], (1, 2, 4, 8)], ids=str)
    def test_enough(self, sizes: list[Any]) -> None:
        """At the limits, in any order."""
        (found,) = parse_sizes({"n": sizes})
        assert list(found.values) == sorted(found.values)

    def test_several_arguments(self) -> None:
        """Each has sizes of its own, and a class of its own or the one for all."""
        rows, columns = parse_sizes({"rows": [8, 1, 2], "columns": ["1 KiB", "2 KiB", "8 KiB"]})
        assert (rows.argument, rows.values) == ("rows", (1, 2, 8))
        assert (columns.argument, columns.values) == ("columns", (1024, 2048, 8192))
        each = {"rows": "O(n)", "columns": "O(1)"}
        assert parse_classes("peak_rss", each, ["rows", "columns"]) == each
        assert parse_classes("peak_rss", "O(n)", ["rows", "columns"]) == {"rows": "O(n)", "columns": "O(n)"}

    @pytest.mark.parametrize(
        ("over", "message"),
        [
            (None, "name an argument and its sizes"),
            ({}, "name an argument and its sizes"),
            ({"a": [1, 2, 8], "b": [1, 2]}, "give 3 sizes above 0 or more"),
            ({1: [1, 2, 8]}, "name an argument and its sizes"),
            ({"n": 5}, "give a list of sizes"),
            ({"n": "1 MiB"}, "give a list of sizes"),
            ({"n": [1, 2, "8"]}, "'8' is not a size"),
            ({"n": [1, 2, 8.5]}, "8.5 is not a size"),
        ],
    )
    def test_over(self, over: Any, message: str) -> None:
        """What is no name with a list."""
        with pytest.raises(UsageMistake, match=message):
            parse_sizes(over)

    @pytest.mark.parametrize("value", ["O(n^3)", "linear", 1, None])
    def test_class(self, value: Any) -> None:
        """The message names those that there are."""
        with pytest.raises(UsageMistake, match=r"peak_rss=.*: choose from 'O\(1\)', 'O\(log n\)', 'O\(n\)'"):
            parse_classes("peak_rss", value, ["n"])

    def test_another_sign_for_powers(self) -> None:
        """n^2 is n**2."""
        assert parse_classes("peak_rss", "O(n^2)", ["n"]) == {"n": "O(n**2)"}

    @pytest.mark.parametrize("value", [{"rows": "O(n)"}, {"rows": "O(n)", "cols": "O(1)"}, {}], ids=str)
    def test_a_class_for_each_argument(self, value: Any) -> None:
        """None is left out, and there are no others."""
        with pytest.raises(UsageMistake, match=r"peak_rss=.*: give a class for each argument of over: rows, columns"):
            parse_classes("peak_rss", value, ["rows", "columns"])
