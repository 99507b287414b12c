"""Two runs compared: which results belong together, and what is said of those that do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.baseline.comparing import compare
from pytest_memperf.baseline.judging import BAND, NOISY_BAND
from pytest_memperf.baseline.renaming import PAIRS
from pytest_memperf.model.comparison import Change, Comparison
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import PERTURBED, Result
from pytest_memperf.model.run import Run
from pytest_memperf.model.units import BYTES, COUNT, SECONDS

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source="", floor=4)
PEAK = Metric("peak_rss", BYTES, Better.LOWER, Trust.BOUNDED, Cost.ALWAYS, help="", source="")
TIME = Metric("wall_time", SECONDS, Better.LOWER, Trust.NOISY, Cost.ALWAYS, help="", source="")
HERE = Environment(machine="3f2a", kernel="6.18.1", python="CPython 3.12.1")


def result(test: str = "test_it.py::test_it", window: str = "call", **values: float) -> Result:
    """Return a result of process isolation with these values of the metrics above."""
    metrics = {metric.name: metric for metric in (FAULTS, PEAK, TIME)}
    measured = {name: Measured(metrics[name], (value,)) for name, value in values.items()}
    return Result(test, window, "process", "glibc", layouts=8, metrics=measured)


def outcome(base: Sequence[Result] | Sequence[Run], head: Sequence[Result], environment: Environment = HERE) -> Outcome:
    """Return what became of every metric, those without a difference too."""
    runs = [each if isinstance(each, Run) else Run("now", None, HERE, [each]) for each in base]
    if base and isinstance(base[0], Result):
        runs = [Run("now", None, HERE, [each for each in base if isinstance(each, Result)])]
    return compare(runs or [Run("now", None, HERE)], head, environment, keep_same=True)


def told(found: Outcome) -> list[tuple[str, str | None, str, str]]:
    """Return the test, the metric, the verdict and the reason of each."""
    return [
        (each.key.test.rpartition("::")[2], each.metric.name if each.metric else None, each.change.value, each.reason)
        for each in found.comparisons
    ]


def the_only(found: Outcome) -> Comparison:
    """Return the only comparison."""
    (comparison,) = found.comparisons
    return comparison


class TestPairs:
    """Which results are compared."""

    def test_each_metric_that_both_have(self) -> None:
        """With the values of both."""
        found = outcome([result(minor_faults=100, peak_rss=5)], [result(minor_faults=200, peak_rss=5)])
        assert [(each[1], each[2]) for each in told(found)] == [("minor_faults", "worse"), ("peak_rss", "same")]
        worse = found.comparisons[0]
        assert (worse.difference, worse.ratio, worse.interval, worse.failing) == (100, 2.0, (100, 100), True)
        assert found.metrics == {"minor_faults", "peak_rss"}

    def test_what_is_the_same_is_counted_and_left_out(self) -> None:
        """Unless a reader wants to see it."""
        found = compare([Run("now", None, HERE, [result(minor_faults=1)])], [result(minor_faults=1)], HERE)
        assert found.comparisons == []
        assert found.counts == {Change.SAME: 1}
        assert (found.judged, found.undecided) == (1, 0)

    def test_windows_are_apart(self) -> None:
        """A test has a result for each."""
        found = outcome(
            [result(minor_faults=1), result(window="parse", minor_faults=100)],
            [result(minor_faults=1), result(window="parse", minor_faults=200)],
        )
        assert [each.change for each in found.comparisons] == [Change.SAME, Change.WORSE]
        assert found.comparisons[1].key.place == "test_it.py::test_it, window 'parse'"

    def test_of_a_test_that_ran_twice_the_last_one_counts(self) -> None:
        """On both sides; it is not new the second time."""
        found = outcome(
            [result(minor_faults=900), result(minor_faults=100)], [result(minor_faults=900), result(minor_faults=100)]
        )
        assert the_only(found).change is Change.SAME

    def test_new_and_gone(self) -> None:
        """Tests of one side; nothing fails."""
        found = outcome([result("a.py::test_old")], [result("b.py::test_other")])
        assert told(found) == [("test_other", None, "new", ""), ("test_old", None, "gone", "")]
        assert found.failing == []
        assert found.judged == found.undecided == 0

    def test_empty_runs(self) -> None:
        """Nothing is compared with nothing."""
        assert outcome([], []).counts == {}


class TestNotComparable:
    """What is told apart in words and not compared."""

    @pytest.mark.parametrize(
        ("isolation", "allocator", "reason"),
        [
            ("inline", "glibc", "isolation process and inline"),
            ("process", "jemalloc", "allocator glibc and jemalloc"),
            ("inline", "jemalloc", "isolation process and inline, allocator glibc and jemalloc"),
        ],
    )
    def test_another_isolation_or_allocator(self, isolation: str, allocator: str, reason: str) -> None:
        """It is the same test, neither new nor gone."""
        head = replace(result(minor_faults=1), isolation=isolation, allocator=allocator)
        assert told(outcome([result(minor_faults=1)], [head])) == [("test_it", None, "not comparable", reason)]

    def test_a_second_allocator_is_new(self) -> None:
        """The first one is compared; of two that are gone for one that is new, one is gone."""
        ours = result(minor_faults=1)
        jemalloc, mimalloc = (replace(ours, allocator=name) for name in ("jemalloc", "mimalloc"))
        assert [each[2] for each in told(outcome([ours], [ours, jemalloc]))] == ["same", "new"]
        assert [each[2] for each in told(outcome([ours, jemalloc], [mimalloc]))] == ["not comparable", "gone"]

    def test_another_unit(self) -> None:
        """A figure that a test records is in another one now."""
        head = result()
        head.metrics = {"minor_faults": Measured(replace(FAULTS, unit=BYTES), (1,))}
        found = the_only(outcome([result(minor_faults=1)], [head]))
        assert (found.change, found.reason) == (Change.NOT_COMPARABLE, "its unit was count and is B")

    @pytest.mark.parametrize("side", [0, 1])
    def test_perturbed(self, side: int) -> None:
        """By whatever changed either side's values."""
        sides = [result(minor_faults=1), result(minor_faults=1)]
        sides[side] = replace(sides[side], notes=["swapped", f"{PERTURBED}measured under coverage"])
        found = outcome([sides[0]], [sides[1]])
        assert told(found) == [("test_it", None, "not comparable", f"{PERTURBED}measured under coverage")]
        assert found.undecided == 1

    def test_another_environment(self) -> None:
        """Counts and times, with what tells the environments apart."""
        ours = result(minor_faults=1, wall_time=1)
        found = outcome([ours], [ours], replace(HERE, kernel="6.19.0", python="CPython 3.13.0"))
        reason = "kernel 6.18.1 and 6.19.0, python CPython 3.12.1 and CPython 3.13.0"
        assert {each[2:] for each in told(found)} == {("not comparable", reason)}

    def test_another_machine(self) -> None:
        """Times are not compared, whatever the number of runs; counts are."""
        ours = result(minor_faults=1, wall_time=1)
        runs = [Run("now", None, HERE, [ours])] * NOISY_BAND
        found = outcome(runs, [ours], replace(HERE, machine="9b1c"))
        assert [each[1:] for each in told(found)] == [
            ("minor_faults", "same", ""),
            ("wall_time", "not comparable", "machine 3f2a and 9b1c"),
        ]

    def test_metrics_of_one_side(self) -> None:
        """With the reason why the other one has none, where it has one."""
        ours, theirs = result(minor_faults=1), result(peak_rss=1)
        assert [each[1:] for each in told(outcome([ours], [theirs]))] == [
            ("peak_rss", "new", "the base did not measure it"),
            ("minor_faults", "gone", "it is not measured any more"),
        ]
        ours.unavailable, theirs.unavailable = {"peak_rss": "no clear_refs"}, {"minor_faults": "no perf"}
        assert [each[1:] for each in told(outcome([ours], [theirs]))] == [
            ("peak_rss", "new", "no clear_refs"),
            ("minor_faults", "gone", "no perf"),
        ]


class TestBand:
    """The base's other runs."""

    def compared(self, runs: Sequence[Run]) -> Comparison:
        """Return the comparison of an inline result with them."""
        return the_only(outcome(runs, [replace(result(minor_faults=500), isolation="inline")]))

    def run(self, environment: Environment = HERE, **more: object) -> Run:
        """Return one of them."""
        return Run("now", None, environment, [replace(result(minor_faults=100), isolation="inline", **more)])  # type: ignore[arg-type]

    def test_takes_the_runs_that_have_the_test(self) -> None:
        """Enough of them make a verdict."""
        assert self.compared([self.run()] * BAND).change is Change.WORSE
        found = self.compared([self.run()] * (BAND - 1) + [Run("now", None, HERE)])
        assert (found.change, found.reason.rpartition(", ")[2]) == (Change.UNSURE, "5 are there")

    @pytest.mark.parametrize(
        "left_out",
        [
            {"environment": replace(HERE, kernel="6.1.0")},
            {"notes": [f"{PERTURBED}by pdb"]},
            {"metrics": {}},
            {"metrics": {"minor_faults": Measured(replace(FAULTS, unit=BYTES), (100,))}},
            {"allocator": "jemalloc"},
        ],
        ids=["environment", "perturbed", "no metric", "unit", "allocator"],
    )
    def test_leaves_out_what_cannot_be_compared(self, left_out: dict[str, object]) -> None:
        """A run of another environment, a perturbed one, and so on."""
        environment = left_out.pop("environment", HERE)
        assert isinstance(environment, Environment)
        others = [self.run(environment, **left_out)] * BAND
        found = self.compared([self.run(), *others])
        assert (found.change, found.reason.rpartition(", ")[2]) == (Change.UNSURE, "1 is there")

    def test_a_run_of_another_machine_is_one_of_counts(self) -> None:
        """Only of times it is none."""
        elsewhere = replace(HERE, machine="9b1c")
        assert self.compared([self.run(), *[self.run(elsewhere)] * BAND]).change is Change.WORSE


METRICS = st.dictionaries(st.sampled_from(["minor_faults", "peak_rss", "wall_time"]), st.integers(0, 200))
RESULTS = st.lists(
    st.builds(
        lambda test, window, isolation, perturbed, values: replace(
            result(f"a.py::{test}", window, **values),
            isolation=isolation,
            notes=[f"{PERTURBED}by pdb"] if perturbed else [],
        ),
        st.sampled_from(["test_a", "test_b", "test_b[1]", "test_c"]),
        st.sampled_from(["call", "parse"]),
        st.sampled_from(["inline", "process"]),
        st.booleans(),
        METRICS,
    ),
    max_size=8,
    unique_by=lambda each: each.key,
)


@given(RESULTS, RESULTS, st.booleans())
def test_nothing_is_lost(base: list[Result], head: list[Result], keep_same: bool) -> None:
    """Each metric of a pair has one verdict, each other result one; what is kept and what is counted agree."""
    found = compare([Run("now", None, HERE, base)], head, HERE, keep_same=keep_same)
    ours, theirs = ({each.key: each for each in results} for results in (base, head))
    expected = 0
    for key in ours.keys() & theirs.keys():
        perturbed = ours[key].perturbed or theirs[key].perturbed
        expected += 1 if perturbed else len(ours[key].metrics.keys() | theirs[key].metrics.keys())
    places = [{key[:2] for key in keys} for keys in (ours.keys() - theirs.keys(), theirs.keys() - ours.keys())]
    for place in places[0] | places[1]:
        alone = [sum(key[:2] == place for key in keys) for keys in (ours.keys() - theirs, theirs.keys() - ours)]
        expected += max(alone)
    assert found.counts.total() == expected
    kept = {change: count for change, count in found.counts.items() if keep_same or change is not Change.SAME}
    assert sum(kept.values()) == len(found.comparisons)
    for change, count in kept.items():
        assert count == sum(each.change is change for each in found.comparisons)


class TestHints:
    """What may have become of a test that is gone; nothing is compared on a guess."""

    def hints(self, gone: Sequence[str], new: Sequence[str], window: str = "call") -> dict[str, str]:
        """Return what is said of each, by its name without the file."""
        found = outcome([result(name) for name in gone], [result(name, window) for name in new])
        assert {each.change for each in found.comparisons} <= {Change.NEW, Change.GONE}
        assert len(found.comparisons) == len(gone) + len(new)
        return {each.key.test.partition("::")[2]: each.reason for each in found.comparisons if each.reason}

    def test_parametrised(self) -> None:
        """Both sides are told, in the same words."""
        told = "test_x was parametrised"
        assert self.hints(["a.py::test_x"], ["a.py::test_x[a]", "a.py::test_x[b[::c]]"]) == {
            "test_x": told,
            "test_x[a]": told,
            "test_x[b[::c]]": told,
        }

    def test_not_parametrised_any_more(self) -> None:
        """The reverse; classes belong to the name."""
        told = "TestA::test_x is not parametrised any more"
        assert self.hints(
            ["a.py::TestA::test_x[a]", "a.py::TestA::test_x[b]"], ["a.py::TestA::test_x", "a.py::TestB::other"]
        ) == {"TestA::test_x": told, "TestA::test_x[a]": told, "TestA::test_x[b]": told}

    def test_the_only_ones_of_a_file(self) -> None:
        """However little their names are alike."""
        assert self.hints(["a.py::test_old"], ["a.py::completely_different"]) == {
            "test_old": "perhaps completely_different now",
            "completely_different": "perhaps test_old renamed",
        }

    def test_the_nearest_names(self) -> None:
        """One to one: the nearest pair first; what resembles nothing is told nothing."""
        assert self.hints(
            ["a.py::test_parse_a_small_file[1]", "a.py::test_parse_a_small_file[2]", "a.py::test_write"],
            [
                "a.py::test_parse_a_tiny_file[2]",
                "a.py::test_parse_a_tiny_file[1]",
                "a.py::test_load",
                "a.py::test_parse_a_smaller_file[1]",
            ],
        ) == {
            "test_parse_a_small_file[1]": "perhaps test_parse_a_smaller_file[1] now",
            "test_parse_a_smaller_file[1]": "perhaps test_parse_a_small_file[1] renamed",
            "test_parse_a_small_file[2]": "perhaps test_parse_a_tiny_file[2] now",
            "test_parse_a_tiny_file[2]": "perhaps test_parse_a_small_file[2] renamed",
        }

    @pytest.mark.parametrize(("name", "hinted"), [("test_abXYZ", False), ("test_abcXY", True)])
    def test_resemblance_has_a_limit(self, name: str, hinted: bool) -> None:
        """From 0.8 of the letters on; here 14 and 16 of 20."""
        assert bool(self.hints(["a.py::test_abcde", "a.py::q"], [f"a.py::{name}", "a.py::zz"])) is hinted

    def test_other_files_and_windows_are_no_hint(self) -> None:
        """A test of another file is another one, for all that is known."""
        assert self.hints(["a.py::test_x"], ["b.py::test_x", "b.py::test_x[a]"]) == {}
        assert self.hints(["a.py::test_x"], ["a.py::test_y"], window="parse") == {}

    def test_a_large_move_is_not_guessed_at(self) -> None:
        """It would take minutes; what was parametrised is told at any size."""
        many = int(PAIRS**0.5) + 1
        gone, new = (
            [f"a.py::test_the_old_way_{n}" for n in range(many)],
            [f"a.py::test_the_new_way_{n}" for n in range(many)],
        )
        assert self.hints(gone, new) == {}
        assert len(self.hints(gone[:-1], new[:-1])) == 2 * (many - 1)
        assert len(self.hints(["a.py::test_x", *gone], ["a.py::test_x[1]", *new])) == 2


def test_limits_fail_what_they_are_of() -> None:
    """Only a regression beyond them."""
    runs = [Run("now", None, HERE, [result(minor_faults=100, peak_rss=1000)])]
    heads = [result(minor_faults=150, peak_rss=2000)]
    found = compare(runs, heads, HERE, Limits.parse(["minor_faults:50", "peak_rss:50%"]))
    assert [(each.metric.name, each.failing) for each in found.comparisons if each.metric] == [
        ("minor_faults", False),
        ("peak_rss", True),
    ]
