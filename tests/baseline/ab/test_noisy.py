"""Times and rates of an A/B run."""

from __future__ import annotations

from dataclasses import replace
from math import inf, log, sqrt
from random import Random
from statistics import NormalDist

import numpy as np
import pytest

from pytest_memperf.baseline.ab import noisy
from pytest_memperf.baseline.paired import SMALLEST, pairs_needed
from pytest_memperf.model.budget import Bound, Budget, Check, Status
from pytest_memperf.model.comparison import Change
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Key, Result
from pytest_memperf.model.units import COUNT, RATE, SECONDS

TIME = Metric("wall_time", SECONDS, Better.LOWER, Trust.NOISY, Cost.ALWAYS, "", "")
CPU = Metric("cpu_time", SECONDS, Better.LOWER, Trust.NOISY, Cost.ALWAYS, "", "")
DELAY = Metric("run_delay", SECONDS, Better.LOWER, Trust.NOISY, Cost.ON_REQUEST, "", "", level=True)
SPEED = Metric("throughput", RATE, Better.HIGHER, Trust.NOISY, Cost.ALWAYS, "", "")
FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "", "")
KEY = Key("test_x.py::test_x", "call", "unknown", "inline")


def results(*seconds: float) -> list[list[Result]]:
    """Return runs with one result each, which also has faults."""
    return [
        [Result(*KEY[:2], metrics={"wall_time": Measured(TIME, (value,)), "minor_faults": Measured(FAULTS, (5,))})]
        for value in seconds
    ]


def pairs(head: list[float], metric: Metric = TIME) -> noisy.Pairs:
    """Return pairs with a base of 1."""
    return noisy.Pairs(KEY, metric, (1.0,) * len(head), tuple(head))


def spread(middle: float, number: int = 24, by: float = 0.01) -> list[float]:
    """Return values round a middle."""
    random = Random(number)
    return [middle * (1 + random.uniform(-by, by)) for _ in range(number)]


@pytest.mark.parametrize(
    ("head", "least", "most"),
    [([1.1, 1.1, 1.1], 1e9, inf), ([1.1, 1.2, 1.3], 3.5, 4), ([0.7, 1.01, 1.4], 0, 0.2), ([2.0], 0, 0)],
)
def test_evidence(head: list[float], least: float, most: float) -> None:
    """The middle over its standard error; of one pair alone there is none."""
    assert least <= pairs(head).evidence <= most


def test_noisy_metrics_are_paired_run_by_run() -> None:
    """Counts are judged otherwise."""
    (found,) = noisy.pairs_of(results(1.0, 2.0), results(3.0, 4.0))
    assert found == noisy.Pairs(KEY, TIME, (1.0, 2.0), (3.0, 4.0))


def test_a_metric_that_a_run_lacks_is_left_out() -> None:
    """It has no pairs."""
    base, head = results(1.0, 2.0), results(3.0, 4.0)
    base[1][0].metrics = {}
    assert not list(noisy.pairs_of(base, head))
    assert not list(noisy.pairs_of([base[0], []], head))


def waiting(*delays: float) -> list[list[Result]]:
    """Return runs of one second, in which the test waited so long for a processor."""
    runs = results(*[1.0] * len(delays))
    for (result,), delay in zip(runs, delays, strict=True):
        result.metrics = {
            **result.metrics, "cpu_time": Measured(CPU, (1.0,)), "run_delay": Measured(DELAY, (delay,))
        }  # fmt: skip
    return runs


@pytest.mark.parametrize(
    ("base", "head", "good", "waited"),
    [
        ([0, 0, 0, 0], [0, 0, 0.5, 0], 3, 1),
        ([0.5, 0, 0, 0], [0, 0, 0.5, 0], 2, 2),
        ([0.5, 0.5, 0, 0], [0, 0, 0.5, 0], 4, 3),
        ([0.5] * 40 + [0] * 6, [0] * 46, 6, 40),
        ([0.01] * 4, [0.01] * 4, 4, 0),
    ],
    ids=["one", "half", "most", "six are enough", "a little"],
)
def test_runs_that_waited_for_a_processor(base: list[float], head: list[float], good: int, waited: int) -> None:
    """They are left out of elapsed time where others are left; processor time stands still meanwhile."""
    found = {pairs.metric.name: pairs for pairs in noisy.pairs_of(waiting(*base), waiting(*head))}

    assert set(found) == {"wall_time", "cpu_time"}
    assert (len(found["wall_time"].base), found["wall_time"].waited) == (good, waited)
    assert (len(found["cpu_time"].base), found["cpu_time"].waited) == (len(base), 0)


@pytest.mark.parametrize(
    ("ticks", "seconds", "good"), [(1, 0.1, 4), (2, 0.1, 3), (5, 0.1, 3), (2, 1.5, 4), (5, 1.5, 3)]
)
def test_runs_whose_processor_was_stolen(ticks: int, seconds: float, good: int) -> None:
    """They are left out of all times, for the test's own clock went on; a tick alone was stolen from many windows."""
    base, head = ([[_alone(seconds)] for _ in range(4)] for _ in range(2))
    head[1][0].notes = [f"interference: ticks of the processor went to other machines ({ticks})"]
    found = [*noisy.pairs_of(base, head)]

    assert [pairs.metric.name for pairs in found] == ["wall_time", "cpu_time"]
    assert [len(pairs.base) for pairs in found] == [good] * 2


def _alone(seconds: float) -> Result:
    """Return a result with times alone."""
    return Result(*KEY[:2], metrics={"wall_time": Measured(TIME, (seconds,)), "cpu_time": Measured(CPU, (seconds,))})


def test_unsure_names_what_others_took() -> None:
    """That the test waited for a processor."""
    (found,) = noisy.comparisons([replace(pairs(spread(1.0, by=0.4)), waited=5)], 20)
    assert found.reason.endswith("; the test waited for a processor that others had")


def test_short_windows_are_not_timed() -> None:
    """And a time of 0 has no ratio."""
    assert not list(noisy.pairs_of(results(0.004), results(0.004)))
    assert list(noisy.pairs_of(results(0.006), results(0.006)))
    assert not list(noisy.pairs_of(results(0.0), results(0.006)))


@pytest.mark.parametrize(
    ("ratios", "striking"),
    [
        ([1.0, 1.01, 0.99], False),
        ([1.1, 1.11, 1.0], True),
        ([0.9, 0.91, 1.0], True),
        ([1.0, 1.2, 1.0], True),
        ([1.02, 1.02, 1.02], False),
        ([1.0, 1.2, 1.0, *[1.01, 0.99] * 8], False),
        ([1.0], True),
    ],
)
def test_what_strikes(ratios: list[float], striking: bool) -> None:
    """Pairs that leave room for a change: their middle, or how far they lie apart; fewer of them leave more."""
    assert pairs(ratios).striking is striking


def test_what_is_asked_for() -> None:
    """By a budget, or by metrics=."""
    result = Result(
        *KEY[:2], requested=("throughput",), checks=[Check(Budget(TIME, Bound.MAX, 1.0), Status.PASSED, None)]
    )
    assert noisy.is_asked([result], "throughput")
    assert noisy.is_asked([result], "wall_time")
    assert not noisy.is_asked([result], "cpu_time")


@pytest.mark.parametrize(
    ("head", "metric", "change"),
    [
        (spread(1.1), TIME, Change.WORSE),
        (spread(0.9), TIME, Change.BETTER),
        (spread(1.1), SPEED, Change.BETTER),
        (spread(1.0), TIME, Change.SAME),
        (spread(1.03), TIME, Change.SAME),
        (spread(1.0, by=0.4), TIME, Change.UNSURE),
        (spread(1.1, number=6), TIME, Change.UNSURE),
    ],
)
def test_verdicts(head: list[float], metric: Metric, change: Change) -> None:
    """Each with its interval and the number of pairs in words."""
    (found,) = noisy.comparisons([pairs(head, metric)], 20)
    assert found.change is change
    assert f"in {len(head)} pairs" in found.words


def test_unsure_names_the_pairs_that_it_takes() -> None:
    """So many as could be improbable enough among all that are looked at."""
    (found,) = noisy.comparisons([pairs(spread(1.1, number=6))], 20)
    assert found.reason == (
        "the pairs tell neither a change nor that there is none; it takes 15 or more, which --max-time gives"
    )
    assert found.detail.endswith("% in 6 pairs, about 21 would tell")


def test_unsure_in_the_same_words() -> None:
    """For all tests that lack the same, so that they stand together; an interval is of each alone."""
    several = [pairs(spread(1.0, by=by, number=number)) for by, number in ((0.4, 6), (0.5, 7), (0.4, 3))]
    found = [*noisy.comparisons(several, 20)]
    assert len({each.reason for each in found}) == 1
    assert len({each.detail for each in found}) == 3
    assert found[-1].detail == "3 pairs, about 106 would tell"


def test_many_looks_make_an_alarm_dearer() -> None:
    """What is a discovery alone is chance among thousands."""
    head = spread(1.1, number=14)
    assert next(noisy.comparisons([pairs(head)], 1)).change is Change.WORSE
    assert next(noisy.comparisons([pairs(head)], 5_000)).change is Change.UNSURE


def test_looking_after_each_pair() -> None:
    """Equal sides that are looked at until they tell, or to the last pair: both times of a test, hardly ever an alarm.

    By the normal approximation of Wilcoxon's statistic, for so many pairs of so many tests.
    """
    chance, tests, level = np.random.default_rng(1), 4_000, noisy.level(2)
    logs, alarmed = chance.normal(0, 0.2, (tests, noisy.MOST_PAIRS)), np.zeros(tests, bool)
    improbable = NormalDist().inv_cdf(1 - level / 2)
    for number in range(pairs_needed(level), noisy.MOST_PAIRS + 1):
        some = logs[:, :number]
        ranks = np.abs(some).argsort().argsort() + 1
        far = np.abs(np.median(some, axis=1)) > log(1 + SMALLEST)
        scatter = sqrt(number * (number + 1) * (2 * number + 1) / 24)
        away = np.abs((ranks * (some > 0)).sum(axis=1) - number * (number + 1) / 4) / scatter
        alarmed |= far & (away >= improbable)

    assert 0 < 2 * alarmed.mean() < 0.015  # 1 % is what is promised; the rest is chance


def test_equal_sides_raise_no_alarm() -> None:
    """500 runs of 50 tests whose times scatter by 20 %: at most 1 % of the runs with any alarm."""
    random = Random(7)
    alarms = 0
    for _ in range(500):
        every = [
            noisy.Pairs(KEY, TIME, *(tuple(random.lognormvariate(0, 0.2) for _ in range(16)) for _ in range(2)))
            for _ in range(50)
        ]
        alarms += any(found.change in (Change.WORSE, Change.BETTER) for found in noisy.comparisons(every, 100))
    assert alarms <= 5
