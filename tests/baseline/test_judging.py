"""The verdict over one metric: by value where a fork of a settled heap measured, else by a band of runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.baseline.judging import BAND, NOISY_BAND, ONE_LAYOUT, Judgement, judge, side
from pytest_memperf.model.comparison import Change, Side
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import BYTES, COUNT, SECONDS

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source="", floor=4)
PEAK = Metric("peak_rss", BYTES, Better.LOWER, Trust.BOUNDED, Cost.ALWAYS, help="", source="", floor=4 * 4096)
ROWS = Metric("rows", COUNT, Better.HIGHER, Trust.EXACT, Cost.ALWAYS, help="", source="")
LOADED = Metric("rss_file", BYTES, Better.NEITHER, Trust.EXACT, Cost.ALWAYS, help="", source="", level=True)
TIME = Metric("wall_time", SECONDS, Better.LOWER, Trust.NOISY, Cost.ALWAYS, help="", source="")


def verdict(
    base: Measured | list[Measured], head: Measured, isolation: str = "process", layouts: tuple[int, int] = (8, 8)
) -> Judgement:
    """Return the verdict over a metric of two results of such an isolation, in so many layouts each."""
    ours, theirs = (Result("test_it.py::test_it", "call", isolation, layouts=number) for number in layouts)
    return judge(base if isinstance(base, list) else [base], head, ours, theirs)


def of(metric: Metric, *samples: float, uncertainty: float = 0) -> Measured:
    """Return what was measured."""
    return Measured(metric, samples, uncertainty)


class TestByValue:
    """Process isolation: two intervals, and what a layout explains."""

    @pytest.mark.parametrize(
        ("head", "layouts", "change"),
        [
            (104, (8, 8), Change.SAME),
            (105, (8, 8), Change.WORSE),
            (96, (8, 8), Change.SAME),
            (95, (8, 8), Change.BETTER),
            (100 + 4 * ONE_LAYOUT, (1, 8), Change.SAME),
            (101 + 4 * ONE_LAYOUT, (1, 8), Change.WORSE),
            (100 + 4 * ONE_LAYOUT, (8, 1), Change.SAME),
            (101 + 4 * ONE_LAYOUT, (8, 1), Change.WORSE),
        ],
    )
    def test_the_floor_is_no_change(self, head: int, layouts: tuple[int, int], change: Change) -> None:
        """Neither is the floor itself; where either side is of one layout, it is four times as large."""
        assert verdict(of(FAULTS, 100), of(FAULTS, head), layouts=layouts).change is change

    @pytest.mark.parametrize(("head", "change"), [(10_050, Change.SAME), (10_051, Change.WORSE)])
    def test_of_large_values_it_is_a_share(self, head: int, change: Change) -> None:
        """0.5 % of the base's."""
        assert verdict(of(FAULTS, 10_000), of(FAULTS, head)).change is change

    @pytest.mark.parametrize(
        ("head", "change"), [(100 + 7 + 5 + 4, Change.SAME), (100 + 7 + 5 + 5, Change.WORSE), (84, Change.SAME)]
    )
    def test_both_uncertainties_count(self, head: int, change: Change) -> None:
        """The intervals must lie apart by more than the floor."""
        found = verdict(of(FAULTS, 100, uncertainty=7), of(FAULTS, head, uncertainty=5))
        assert found.change is change
        assert found.smallest == 16

    def test_samples_beyond_the_uncertainty_count(self) -> None:
        """The spread of layouts is part of the interval, whichever of the two is wider."""
        assert side(of(FAULTS, 90, 100, 103, uncertainty=5)) == Side(100, 90, 105)
        assert verdict(of(FAULTS, 90, 100, 120), of(FAULTS, 124)).change is Change.SAME
        assert verdict(of(FAULTS, 90, 100, 120), of(FAULTS, 125)).change is Change.WORSE

    @pytest.mark.parametrize(("head", "change"), [(99, Change.WORSE), (100, Change.SAME), (101, Change.BETTER)])
    def test_without_a_floor_any_difference_is_one(self, head: int, change: Change) -> None:
        """As of what a test records itself; more is better here."""
        found = verdict(of(ROWS, 100), of(ROWS, head), layouts=(1, 1))
        assert (found.change, found.reason, found.smallest) == (change, "", 0)

    def test_without_a_direction_it_is_changed(self) -> None:
        """Neither better nor worse."""
        neither = replace(FAULTS, better=Better.NEITHER)
        assert verdict(of(neither, 100), of(neither, 200)).change is Change.CHANGED
        assert verdict(of(neither, 200), of(neither, 100)).change is Change.CHANGED

    def test_says_how_far_apart(self) -> None:
        """The distance of the intervals, and how much of it a layout would explain."""
        found = verdict(of(PEAK, 1 << 20, uncertainty=65536), of(PEAK, 3 << 20, uncertainty=65536))
        assert found.reason == "apart by 1.88 MiB, of which a layout explains 16 KiB"
        assert (found.base, found.head) == (Side(1 << 20, 15 << 16, 17 << 16), Side(3 << 20, 47 << 16, 49 << 16))

    @given(
        st.lists(st.integers(0, 5000), min_size=1, max_size=9),
        st.lists(st.integers(-50, 50), min_size=1, max_size=9),
        st.integers(0, 40),
        st.integers(0, 40),
        st.integers(-3000, 3000),
        st.sampled_from([FAULTS, ROWS, PEAK]),
        st.sampled_from([(1, 1), (8, 8)]),
    )
    def test_the_smallest_change_is_true(
        self,
        base: list[int],
        spread: list[int],
        ours: int,
        theirs: int,
        shift: int,
        metric: Metric,
        layouts: tuple[int, int],
    ) -> None:
        """What lies further away than it says is never the same, what lies nearer is never called different."""
        before = of(metric, *base, uncertainty=ours)
        samples = [before.value + shift + each for each in spread]
        after = of(metric, *samples, uncertainty=theirs)
        found = verdict(before, after, layouts=layouts)
        assert found.smallest is not None
        distance = abs(after.value - before.value)
        assert distance <= found.smallest if found.change is Change.SAME else distance >= found.smallest
        if found.change is Change.SAME:  # then it holds for a head of the same spread anywhere
            for sign in (-1, 1):
                far = before.value + sign * (found.smallest + 1) - after.value
                moved = of(metric, *(sample + far for sample in samples), uncertainty=theirs)
                assert verdict(before, moved, layouts=layouts).change is not Change.SAME


BY_BAND = [
    (FAULTS, "inline", BAND, "inline: it depends on the tests before"),
    (LOADED, "process", BAND, "moved by all that is loaded"),
    (LOADED, "inline", BAND, "moved by all that is loaded"),
    (TIME, "process", NOISY_BAND, "noisy"),
    (TIME, "inline", NOISY_BAND, "noisy"),
]


class TestByBand:
    """What depends on more than the test: a run beside many."""

    @pytest.mark.parametrize(("metric", "isolation", "needed", "why"), BY_BAND)
    def test_few_runs_tell_nothing(self, metric: Metric, isolation: str, needed: int, why: str) -> None:
        """One less than needed leaves it open, however large the difference; the reason counts them."""
        for runs, verb in ((1, "1 is"), (needed - 1, f"{needed - 1} are")):
            found = verdict([of(metric, 100)] * runs, of(metric, 10_000), isolation)
            assert found.change is Change.UNSURE
            assert found.reason == f"{why}; a band takes {needed} runs of the base, {verb} there"
            assert found.smallest is None
        assert verdict([of(metric, 100)] * needed, of(metric, 10_000), isolation).change is not Change.UNSURE

    @pytest.mark.parametrize(
        ("head", "change"),
        [(110 + 20 + 16, Change.SAME), (110 + 20 + 17, Change.WORSE), (54, Change.SAME), (53, Change.BETTER)],
    )
    def test_the_band_and_its_width_are_no_change(self, head: int, change: Change) -> None:
        """From 90 to 110, once more as wide, and the floor of one layout."""
        band = [of(FAULTS, value) for value in (100, 90, 95, 100, 105, 110)]
        found = verdict(band, of(FAULTS, head), "inline", (1, 1))
        assert found.change is change
        assert found.base == Side(100, 90, 110)
        assert found.smallest == 46
        assert found.reason == ("" if change is Change.SAME else "outside of 6 runs by 37, their range is 20")

    @pytest.mark.parametrize(("head", "change"), [(1.04, Change.SAME), (1.06, Change.WORSE), (0.94, Change.BETTER)])
    def test_times_have_a_share(self, head: float, change: Change) -> None:
        """A change of less than 5 % is not worth a word, however steady the runs were."""
        assert verdict([of(TIME, 1.0)] * NOISY_BAND, of(TIME, head), "inline").change is change

    def test_a_level_without_floor_has_a_share_too(self) -> None:
        """0.5 % of the value, four times."""
        band = [of(LOADED, 100_000)] * BAND
        assert verdict(band, of(LOADED, 102_000)).change is Change.SAME
        assert verdict(band, of(LOADED, 102_001)).change is Change.CHANGED

    @given(
        st.lists(st.integers(0, 5000), min_size=BAND, max_size=12),
        st.integers(0, 40),
        st.integers(-9000, 9000),
        st.sampled_from([FAULTS, LOADED]),
    )
    def test_the_smallest_change_is_true(self, runs: list[int], uncertainty: int, shift: int, metric: Metric) -> None:
        """As by value."""
        band = [of(metric, value, uncertainty=uncertainty) for value in runs]
        after = of(metric, runs[0] + shift, uncertainty=uncertainty)
        found = verdict(band, after, "inline")
        assert found.smallest is not None
        assert abs(shift) <= found.smallest if found.change is Change.SAME else abs(shift) >= found.smallest
