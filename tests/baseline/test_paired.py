"""The statistics of pairs, beside SciPy's and by trial."""

from __future__ import annotations

import math
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_memperf.baseline.paired import LEAST_PAIRS, Paired, discoveries, paired, pairs_needed, signed_rank

differences = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=30)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=40, unique=True), st.randoms(use_true_random=False))
def test_as_scipy_without_ties(sizes: list[float], random: Random) -> None:
    """The probability is that of scipy.stats.wilcoxon."""
    values = [size if random.random() < 0.7 else -size for size in sizes]
    assert signed_rank(values) == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_as_scipy_with_ties_and_zeros(values: list[int]) -> None:
    """Ties share ranks and zeros are left out: as when all signs of SciPy's ranks are gone through."""
    left = [value for value in values if value]
    ranks = stats.rankdata([abs(value) for value in left])
    half = ranks.sum() / 2
    found = abs(sum(rank for rank, value in zip(ranks, left, strict=True) if value > 0) - half)
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in product((0, 1), repeat=len(left))
    ]
    assert signed_rank(values) == pytest.approx(sum(abs(each - half) >= found for each in sums) / len(sums))


@given(differences)
def test_signs_and_scale_do_not_matter(values: list[float]) -> None:
    """Head and base changed round are as improbable."""
    assert signed_rank(values) == signed_rank([-value for value in values])


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=25), st.lists(st.floats(0.1, 10), min_size=25, max_size=25))
def test_the_estimate_lies_in_its_interval(base: list[float], head: list[float]) -> None:
    """Hodges' and Lehmann's median of averages, as SciPy's of the same averages."""
    found = paired(base, head[: len(base)])
    logs = [math.log(theirs / ours) for ours, theirs in zip(base, head, strict=False)]
    averages = [(one + other) / 2 for place, one in enumerate(logs) for other in logs[place:]]
    assert found.low <= found.ratio <= found.high
    assert math.log(found.ratio) == pytest.approx(stats.scoreatpercentile(averages, 50), abs=1e-9)


@pytest.mark.parametrize("number", [6, 8, 12, 24, 48])
def test_the_interval_holds_the_truth(number: int) -> None:
    """At least 95 times of 100, whatever the spread; seeded, so that it is the same each time."""
    random = Random(number)
    missed = 0
    for _ in range(1000):
        head = [1.1 * math.exp(random.gauss(0, 0.2)) for _ in range(number)]
        found = paired([1.0] * number, head)
        missed += not found.low <= 1.1 <= found.high
    assert missed <= 70  # 50 and three times its standard deviation


def test_too_few_pairs_have_no_interval() -> None:
    """Five pairs cannot be improbable at one in twenty, so they exclude nothing."""
    found = paired([1.0] * 5, [2.0] * 5)
    assert (found.low, found.high) == (0.0, math.inf)
    assert not found.same
    assert not found.different(1.0)


def test_same_and_different() -> None:
    """A difference is improbable and large; the same is within the smallest change for sure."""
    steady = [1.0 + place / 1000 for place in range(12)]
    assert paired([1.0] * 12, steady).same
    assert not paired([1.0] * 12, steady).different(1.0)
    slower = paired([1.0] * 12, [1.1 + place / 1000 for place in range(12)])
    assert slower.different(1 / 2048)
    assert not slower.different(1 / 2049)
    assert not slower.same
    faster = paired([1.1 + place / 1000 for place in range(12)], [1.0] * 12)
    assert faster.different(1 / 2048)
    assert faster.ratio == pytest.approx(1 / slower.ratio)


def test_small_changes_are_none_however_sure() -> None:
    """3 % in every pair is no change worth a word, and not the same beyond doubt where the interval is wide."""
    found = Paired(ratio=1.03, low=1.02, high=1.04, probability=1e-9, pairs=40)
    assert found.same
    assert not found.different(1e-3)
    assert not Paired(ratio=1.03, low=1.0, high=1.06, probability=1e-9, pairs=40).same


@pytest.mark.parametrize("base", [[], [1.0, 0.0], [1.0, -1.0], [1.0]])
def test_refuses_what_has_no_ratio(base: list[float]) -> None:
    """Numbers that differ, none, and values that are not above 0."""
    with pytest.raises(ValueError, match="as many samples of both sides, all above 0"):
        paired(base, [1.0, 2.0])


@pytest.mark.parametrize("level", [0.03125, 0.001, 1e-6])
def test_the_pairs_that_are_needed(level: float) -> None:
    """As many as it says reach the level where all point one way, one less does not."""
    needed = pairs_needed(level)
    steps = [1.0 + place for place in range(needed)]
    assert signed_rank(steps) <= level
    assert needed == LEAST_PAIRS or signed_rank(steps[1:]) > level


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_discoveries_as_scipy(probabilities: list[float]) -> None:
    """Those whose adjusted probability SciPy puts at or below the rate, but for rounding right at it."""
    adjusted = stats.false_discovery_control(probabilities)
    for found, each in zip(discoveries(probabilities, 0.05), adjusted, strict=True):
        if abs(each - 0.05) > 1e-9:
            assert found == (each <= 0.05)


@pytest.mark.parametrize(
    ("middle", "by"), [(1.1, 0.2), (1.2, 0.4), (1.0, 0.2), (1.0, 0.4), (1.02, 0.2), (0.93, 0.2), (1.3, 0.5)]
)
def test_so_many_pairs_tell(middle: float, by: float) -> None:
    """Of runs that go on as they began many are told by then; hardly any is with a third of the pairs."""
    random, level = Random(1), 0.001

    def found(number: int) -> Paired:
        return paired([1.0] * number, [middle * (1 + random.uniform(-by, by)) for _ in range(number)])

    foretold = sorted(each for each in (found(12).needed(level) for _ in range(51)) if each is not None)
    needed = foretold[len(foretold) // 2]
    told = {
        number: sum(each.same or each.different(level) for each in (found(number) for _ in range(50)))
        for number in (needed, needed // 3)
    }
    assert told[needed] > 12
    assert told[needed // 3] < 12


@pytest.mark.parametrize("head", [[1.1, 0.91], [1.0, 1.0, 1.0]])
def test_few_pairs_foretell_nothing(head: list[float]) -> None:
    """Without an interval there is none to shrink."""
    assert paired([1.0] * len(head), head).needed(0.001) is None
