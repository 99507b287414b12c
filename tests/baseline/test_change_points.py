"""Change points of noisy series."""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from pytest_memperf.baseline.change_points import LEAST, STAY, MissingExtra, _scores, find

NOISES = {
    "normal": lambda random: random.normal(0, 1, 50),
    "skewed": lambda random: random.exponential(1, 50),
    "heavy tails": lambda random: random.standard_t(2, 50),
    "spikes": lambda random: np.where(random.random(50) < 0.05, 20.0, random.normal(0, 1, 50)),
    "few values": lambda random: random.integers(0, 3, 50).astype(float),
}


def a_share(level: float) -> float:
    """Return the smallest change that counts in these tests: 5 %."""
    return 0.05 * abs(level)


def drawn(*levels: tuple[int, float], spread: float = 0.02, seed: int = 0) -> list[float]:
    """Return noise round levels, each so many values long."""
    random = np.random.default_rng(seed)
    return [value * (1 + spread * random.normal()) for length, value in levels for _ in range(length)]


@pytest.mark.parametrize("noise", NOISES)
def test_noise_has_none(noise: str) -> None:
    """Whatever it is like, at most two of a thousand series of it have one; one is what the penalty is made for."""
    random = np.random.default_rng(7)
    found = [find(list(100 + 20 * NOISES[noise](random)), lambda _: 0.0) for _ in range(1000)]
    assert sum(map(bool, found)) <= 2


@pytest.mark.parametrize("length", [LEAST, 50, 400])
def test_a_constant_has_none(length: int) -> None:
    """Nor has one that changes once and comes back."""
    assert not find([7] * length, a_share)
    assert not find([7] * (length - 3) + [9] + [7] * 2, a_share)


@pytest.mark.parametrize(("length", "after"), [(16, 8), (20, 7), (50, 5), (50, 25), (50, 45), (300, 10)])
@pytest.mark.parametrize("factor", [1.2, 0.8])
def test_a_change_is_found_where_it_is(length: int, after: int, factor: float) -> None:
    """From 5 values on, upwards and downwards, with both levels; now and then it takes a value more."""
    series = [drawn((length - after, 100), (after, 100 * factor), seed=seed) for seed in range(40)]
    points = [found[0] for found in (find(values, a_share) for values in series) if len(found) == 1]
    assert len(points) >= 36
    for found in points:
        assert found.earliest == found.place == found.latest == length - after
        assert (found.before, found.after) == (pytest.approx(100, rel=0.05), pytest.approx(100 * factor, rel=0.05))


def test_several() -> None:
    """Each at its place, one that is undone and two that lie close to each other as well."""
    found = find(drawn((20, 100), (15, 130), (20, 100), (20, 300), (15, 330)), a_share)
    assert [each.place for each in found] == [20, 35, 55, 75]


def test_wild_values_are_no_level() -> None:
    """Neither one of them nor a pair."""
    values = drawn((50, 100))
    values[20] = values[30] = values[31] = 1e6
    assert not find(values, a_share)


def test_a_small_change_is_not_worth_a_word() -> None:
    """However certain it is; and one that hides between two large ones does not hide them."""
    steady = drawn((30, 100), (30, 103), spread=0.001)
    assert not find(steady, a_share)
    assert [each.place for each in find(steady, lambda _: 2.0)] == [30]
    assert [each.place for each in find(drawn((20, 100), (20, 103), (20, 150), spread=0.001), a_share)] == [40]


def test_in_much_noise_it_lies_in_an_interval() -> None:
    """Which is told, and holds the true place nearly always."""
    held = wide = count = 0
    for seed in range(200):
        for found in find(drawn((25, 100), (25, 125), spread=0.1, seed=seed), a_share):
            count += 1
            held += found.earliest <= 25 <= found.latest
            wide += found.earliest < found.latest
    assert count > 180
    assert held > 0.9 * count
    assert wide > 0.5 * count


def test_busy_for_a_while_is_less_of_a_change() -> None:
    """Noise in which neighbours are alike looks like levels: most of what a search without memory finds is refused."""
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(300):
        values = random.normal(0, 1, 200)
        for place in range(1, 200):
            values[place] = 0.6 * values[place - 1] + 0.8 * values[place]
        hits += bool(find(list(100 + 10 * values), a_share))
    assert hits <= 3


def test_too_few_values() -> None:
    """Tell nothing, however far apart."""
    assert not find([1] * 7 + [100] * (LEAST - 8), a_share)
    assert find([1] * 8 + [100] * (LEAST - 8), a_share)


def test_the_same_answer_again() -> None:
    """What is drawn for the interval is drawn alike."""
    values = drawn((25, 100), (25, 120), spread=0.1)
    assert find(values, a_share) == find(values, a_share)


def test_scores_are_normal_scores() -> None:
    """As SciPy counts them, but for their size; equal values share the mean of theirs."""
    random = np.random.default_rng(1)
    values = random.normal(0, 1, 40)
    expected: NDArray[np.float64] = stats.norm.ppf((stats.rankdata(values) - 0.5) / 40)
    assert _scores(values) == pytest.approx(expected / np.sqrt(np.mean(expected**2)))
    tied = np.repeat(np.arange(10.0), 4)
    assert _scores(tied) == pytest.approx(np.repeat(_scores(np.arange(40.0)).reshape(10, 4).mean(axis=1), 4))


@given(st.lists(st.floats(-1e9, 1e9), min_size=LEAST, max_size=80))
def test_anything(values: list[float]) -> None:
    """Change points come in order, leave a level on each side, and lie in their intervals; levels are the medians."""
    found = find(values, a_share)
    places = [0, *(each.place for each in found), len(values)]
    assert all(end - start >= STAY for start, end in pairwise(places))
    for each, (start, place, end) in zip(found, zip(places, places[1:], places[2:], strict=False), strict=True):
        assert start < each.earliest <= each.place <= each.latest < end
        assert each.before == np.median(values[start:place])
        assert each.after == np.median(values[place:end])


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(MissingExtra, match=r"^pip install 'pytest-memperf\[history\]'$"):
        find([1] * LEAST, a_share)
