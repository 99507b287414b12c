"""Times of an A/B run: which are looked at more closely, and what they come to."""

from __future__ import annotations

from pathlib import Path

import pytest
from gates import Both, judged, rows

from pytest_memperf.baseline.ab import noisy
from pytest_memperf.baseline.ab.sampling import LAYOUTS, Sampling
from pytest_memperf.baseline.ab.side import Sample, Side
from pytest_memperf.baseline.ab.times import LEAST_EVIDENCE, Seconds, Times, usual_seconds
from pytest_memperf.baseline.paired import pairs_needed
from pytest_memperf.model.comparison import Change
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import SECONDS

ENOUGH = 120.0
"""Seconds in which a busy machine, too, comes to the end of a test that ends by itself."""
TIME = Metric("wall_time", SECONDS, Better.LOWER, Trust.NOISY, Cost.ALWAYS, "", "")


def test_times(both: Both) -> None:
    """What takes twice as long is worse, beside a test whose times agree; counts and bytes are the same in both."""
    text = (
        "def test_slower(): sum(range(2_000_000 * (2 if mypkg.SIDE == 'head' else 1)))\n"
        "def test_short(): sum(range(1_000))\n"
    )
    gate = judged(both(text), keep_same=True, max_time=ENOUGH)
    found = {(test, metric): change for test, metric, change in rows(gate)}

    assert found["test_slower", "wall_time"] is Change.WORSE
    assert found["test_slower", "minor_faults"] is Change.SAME
    assert ("test_short", "wall_time") not in found
    (each,) = (each for each in gate.outcome.failing if each.metric and each.metric.name == "wall_time")
    assert "pairs" in each.reason
    assert 1.1 < (each.ratio or 0) < 10


def test_times_that_are_asked_for(both: Both) -> None:
    """A budget on a time has it judged, where nothing else would."""
    text = "@pytest.mark.memperf(max_wall_time='10 s')\ndef test_it(): sum(range(2_000_000))\n"
    changes = {metric: change for _, metric, change in rows(judged(both(text), keep_same=True))}

    assert changes["wall_time"] in (Change.SAME, Change.UNSURE)


def test_a_test_that_fails_while_its_times_are_looked_at(both: Both, tmp_path: Path) -> None:
    """A failure on head is one, whenever it comes."""
    text = (
        "import pathlib, random, time\n"
        f"runs = pathlib.Path({str(tmp_path)!r}) / mypkg.SIDE\n"
        "@pytest.mark.memperf(max_wall_time='10 s')\n"
        "def test_it():\n"
        "    with runs.open('a') as file: file.write('x')\n"
        "    time.sleep(random.SystemRandom().random() / 10)\n"
        f"    assert mypkg.SIDE == 'base' or runs.stat().st_size <= {LAYOUTS[-1]}, 'worn out'\n"
    )
    gate = judged(both(text), max_time=ENOUGH)

    assert gate.failed == [("test_it.py::test_it", "AssertionError: worn out")]
    assert not [each for each in gate.outcome.comparisons if each.metric and each.metric.name == "wall_time"]


def sampled(both: Both, text: str, looks: int) -> tuple[Times, list[Sampling]]:
    """Return the times of a run that looks at so many, and its tests with their first pairs."""
    base, head = both(text)
    times, samplings = Times(looks), [Sampling(base, head, test, 0) for test in head.tests]
    for sampling in samplings:
        assert sampling.go_on(3)
        times.add(sampling)
    return times, samplings


STRIKING = (
    "import random, time\n"
    "def test_slower(): time.sleep(0.1 if mypkg.SIDE == 'head' else 0.05)\n"
    "@pytest.mark.parametrize('number', range(6))\n"
    "def test_noise(number): time.sleep(0.01 + random.SystemRandom().random() / 20)\n"
)


def test_where_there_is_no_time_for_all(both: Both) -> None:
    """Those go on that promise something, and in the end nobody may."""
    times, samplings = sampled(both, STRIKING, 100)
    promising = [
        sampling
        for sampling in times.waiting
        if max(pairs.evidence for pairs in noisy.pairs_of(*sampling.results)) >= LEAST_EVIDENCE[0]
    ]
    told: list[str] = []
    assert len(times.waiting) > 3
    assert promising[0] is samplings[0]
    times.decide(Seconds(0.1, 0.1, 0.1, 0.1), told.append)

    assert told == [f"times: {promising[0].test}"]
    assert [sampling.pairs for sampling in samplings].count(3) == len(samplings) - 1


def test_how_long_times_take_where_nobody_says() -> None:
    """8 s, or a tenth of what counts took; where these took little, up to 40 s for tests that can be told by then.

    And 40 s in any case for those that are all but told, 120 for the last few of these.
    """
    assert usual_seconds(10.0) == (8.0, 30.0, 40.0, 120.0)
    assert usual_seconds(35.0) == (8.0, 8.0, 40.0, 120.0)
    assert usual_seconds(150.0) == (15.0, 15.0, 40.0, 120.0)
    assert usual_seconds(2000.0) == (200.0, 200.0, 200.0, 200.0)


def test_what_the_first_pairs_tell_needs_no_more(both: Both) -> None:
    """It waits for nothing, and is among what is told."""
    base, head = both("def test_slower(): sum(range(500_000 * (4 if mypkg.SIDE == 'head' else 1)))\n")
    times, sampling = Times(2), Sampling(base, head, head.tests[0], 0)
    assert sampling.go_on(2 * LAYOUTS[-1])
    times.add(sampling)

    assert times.waiting == []
    told = {pairs.metric.name: pairs.found.different(noisy.level(2)) for pairs in times.found()}
    assert told == {"wall_time": True, "cpu_time": True}


class Foreseen(Sampling):
    """A test whose pairs are known; each takes a second.

    Args:
        ratios: of head to base, in turns.
    """

    def __init__(self, test: str, sides: tuple[Side, Side], *ratios: float) -> None:
        super().__init__(*sides, test, 0)
        self._ratios = ratios
        self.pair_seconds = 1.0
        for _ in range(2 * len(ratios)):
            self.time_once_more()

    def time_once_more(self) -> None:
        """Take the next pair."""
        ratio = self._ratios[self.pairs % len(self._ratios)]
        for samples, seconds in zip(self.samples, (1.0, ratio), strict=True):
            samples.append(Sample([Result(self.test, "call", metrics={"wall_time": Measured(TIME, (seconds,))})]))


def test_those_go_on_that_can_be_told(both: Both) -> None:
    """When the time of the others is over, by what their pairs foretell: the cheapest first, while there is time."""
    sides = both("def test_it(): pass\n")
    hopeless = [Foreseen(f"hopeless {number}", sides, 0.6, 1.1, 1.8) for number in range(2)]
    slower, times = Foreseen("slower", sides, 1.09, 1.1, 1.11), Times(2)
    for sampling in (*hopeless, slower):
        times.add(sampling)
    assert times.waiting == [*hopeless, slower]
    times.decide(Seconds(0.0, 5.0, 0.0, 0.0), lambda text: None)
    assert (slower.pairs, hopeless[0].pairs) == (6, 6)
    first: list[str] = []
    times.decide(Seconds(0.0, 30.0, 30.0, 30.0), first.append)

    assert {*first[: first.count("times: slower")]} == {"times: slower"}
    assert slower not in times.waiting
    (found,) = noisy.pairs_of(*slower.results)
    assert found.found.different(noisy.level(2))


def test_the_last_few_go_on_in_any_case(both: Both) -> None:
    """To the most pairs that are taken, while there is time."""
    hopeless = Foreseen("hopeless", both("def test_it(): pass\n"), 0.6, 1.1, 1.8)
    times = Times(2)
    times.add(hopeless)
    times.decide(Seconds(0.0, 0.0, 0.0, 0.0), lambda text: None)
    assert hopeless.pairs == 6
    times.decide(Seconds(0.0, 600.0, 600.0, 600.0), lambda text: None)

    assert times.waiting == []
    assert hopeless.pairs == noisy.MOST_PAIRS


class TestAllButTold:
    """Tests of which few pairs more would tell, when the time of the others is over."""

    def test_they_are_not_left(self, both: Both) -> None:
        """Where every pair but one of eight points one way; one of four is too many, and noise is noise."""
        sides = both("def test_it(): pass\n")
        slower = Foreseen("slower", sides, 1.5, 1.6, 1.7, 0.98, 1.55, 1.65, 1.75, 1.6)
        doubtful = Foreseen("doubtful", sides, 1.5, 0.6, 1.7, 1.2)
        others = doubtful, Foreseen("hopeless", sides, 0.6, 1.1, 1.8), Foreseen("noise", sides, 1.3, 0.9)
        times = Times(100)
        for sampling in (slower, *others):
            times.add(sampling)
        assert times.waiting == [slower, *others]
        before = [each.pairs for each in others]
        times.decide(Seconds(0.0, 0.0, 0.0, 0.0), lambda text: None)
        assert slower.pairs == 16
        times.decide(Seconds(0.0, 0.0, 40.0, 40.0), lambda text: None)

        assert times.waiting == [*others]
        assert [each.pairs for each in others] == before
        (found,) = noisy.pairs_of(*slower.results)
        assert found.found.different(noisy.level(100))

    def test_many_only_where_they_will_be_told(self, both: Both) -> None:
        """The cheapest first, as many as there is time for; then the last two in any case, while there is time."""
        sides = both("def test_it(): pass\n")
        every = [Foreseen(f"slower {number}", sides, 1.5, 1.6, 1.7) for number in range(3)]
        times = Times(100)
        for sampling in every:
            times.add(sampling)
        needed = times._seconds_needed(every[0])
        times.decide(Seconds(0.0, 0.0, needed / 2, needed / 2), lambda text: None)
        assert times.waiting == every
        assert [each.pairs for each in every] == [6, 6, 6]
        for sampling in every[:2]:
            sampling.pair_seconds = 100.0
        turns: list[str] = []
        times.decide(Seconds(0.0, 0.0, needed * 2, needed * 2), turns.append)
        assert {*turns[: turns.count("times: slower 2")]} == {"times: slower 2"}
        assert times.waiting == []

    def test_the_last_few_have_a_fair_number_of_pairs(self, both: Both) -> None:
        """Twice as many as can tell, however long each of them takes; where more are left than a few, none goes on."""
        sides = both("def test_it(): pass\n")
        ratios = 1.5, 0.8, 1.7, 1.3, 1.6, 0.9
        one, two, three = (Foreseen(f"slow {number}", sides, *ratios) for number in range(3))
        for sampling in (one, two, three):
            sampling.pair_seconds = 100.0
        alone, many = Times(2), Times(2)
        alone.add(one)
        for sampling in (two, three, Foreseen("slow 3", sides, *ratios)):
            many.add(sampling)
        for times in (alone, many):
            times.decide(Seconds(0.0, 0.0, 0.0, 30.0), lambda text: None)

        (found,) = noisy.pairs_of(*one.results)
        assert found.found.different(noisy.level(2)) or one.pairs == 2 * pairs_needed(noisy.level(2))
        assert one.pairs > 12
        assert two.pairs == three.pairs == 12

    def test_weaker_evidence_where_few_times_are_looked_at(self, both: Both) -> None:
        """Chance makes one of two strike so seldom, one of a hundred often."""
        sides = both("def test_it(): pass\n")
        pairs = []
        for looks in (2, 100):
            doubtful, times = Foreseen("doubtful", sides, 1.5, 0.7, 1.7), Times(looks)
            times.add(doubtful)
            times.decide(Seconds(0.0, 0.0, 0.0, 30.0), lambda text: None)
            pairs.append(doubtful.pairs)

        assert pairs[0] > pairs[1] == 6


def test_round_by_round(both: Both) -> None:
    """Those that wait take turns, until the time is over; what does not strike is not among them."""
    text = (
        "import random, time\n"
        "@pytest.mark.memperf(max_wall_time='10 s')\n"
        "@pytest.mark.parametrize('number', range(2))\n"
        "def test_it(number): time.sleep(random.SystemRandom().random() / 10)\n"
        "def test_short(): pass\n"
    )
    times, samplings = sampled(both, text, 2)
    turns: list[str] = []

    def tell(text: str) -> None:
        turns.append(text.partition("[")[2])
        if len(turns) > 4:
            raise KeyboardInterrupt

    times.decide(Seconds(0.0, 0.0, 0.0, 0.0), tell)
    assert turns == []
    with pytest.raises(KeyboardInterrupt):
        times.decide(Seconds(600.0, 600.0, 600.0, 600.0), tell)
    assert turns == ["0]", "1]", "0]", "1]", "0]"]
    assert times.waiting == samplings[:2]
    assert [sampling.pairs for sampling in samplings] == [5, 5, 3]
    assert "wall_time" in {pairs.metric.name for pairs in times.found()}
