"""Results compared by their numbers come to what they come to one by one."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_memperf.baseline import alike as module
from pytest_memperf.baseline.alike import _Numbers, alike
from pytest_memperf.baseline.comparing import Base, compare
from pytest_memperf.baseline.judging import side
from pytest_memperf.model.comparison import Change, Comparison, Side
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.model.result import PERTURBED, Result
from pytest_memperf.model.run import Run
from pytest_memperf.model.units import BYTES, COUNT, SECONDS, Number
from pytest_memperf.report.json_file import write
from pytest_memperf.report.json_reader import read
from pytest_memperf.report.result_lines import ResultLines, by_key


def metric(name: str, trust: Trust = Trust.EXACT, better: Better = Better.LOWER, **more: object) -> Metric:
    """Return a metric as a file has it."""
    unit = {"peak_rss": BYTES, "wall_time": SECONDS}.get(name, COUNT)
    return Metric(name, unit, better, trust, Cost.ON_REQUEST, "", "", **more)  # type: ignore[arg-type]


METRICS = (
    metric("minor_faults", floor=4),
    metric("minor_faults", floor=5),
    metric("peak_rss", Trust.BOUNDED, floor=16384),
    metric("allocations"),
    metric("rows", better=Better.NEITHER),
    metric("hits", better=Better.HIGHER, floor=0.5),
    metric("uss", level=True, floor=1),
    metric("wall_time", Trust.NOISY),
)
HERE = Environment(machine="3f2a", kernel="6.18.1")
NUMBERS = st.integers(90, 110) | st.sampled_from([0, -1, 2**52 + 1, 8e307, -8e307, 0.1, 99.5, 104.0]) | st.integers()
MEASURED = st.builds(
    lambda metric, samples, uncertainty: Measured(metric, tuple(samples), uncertainty),
    st.sampled_from(METRICS),
    st.lists(NUMBERS, min_size=1, max_size=4),
    st.integers(0, 5) | st.just(1.5e308),
)
RESULTS = st.lists(
    st.builds(
        lambda number, window, isolation, layouts, note, measured: Result(
            f"a.py::test[{number}]",
            window,
            isolation,
            "glibc",
            layouts=layouts,
            metrics={each.metric.name: each for each in measured},
            unavailable={"swapped": "no swap"} if number % 2 else {},
            notes=[note] if note else [],
        ),
        st.integers(0, 30),
        st.sampled_from(["call", "call", "parse"]),
        st.sampled_from(["process", "process", "process", "inline"]),
        st.sampled_from([1, 8]),
        st.sampled_from(["", "", "", "swapped", f"{PERTURBED}by pdb"]),
        st.lists(MEASURED, max_size=3),
    ),
    max_size=12,
)


def numbered(number: int, *measured: Measured, **more: object) -> Result:
    """Return the result of a test of this number, in a process of its own."""
    metrics = {each.metric.name: each for each in measured}
    return Result(f"a.py::test[{number}]", "call", "process", "glibc", metrics=metrics, **more)  # type: ignore[arg-type]


@st.composite
def of_one_shape(draw: st.DrawFn) -> tuple[list[Result], list[Result]]:
    """Return two runs whose results differ in numbers alone, by about what decides."""
    layouts = draw(st.sampled_from([1, 8]))
    of = draw(st.dictionaries(st.sampled_from(METRICS), st.integers(1, 4), min_size=1, max_size=3))

    def run() -> list[Result]:
        return [
            numbered(
                number,
                *(
                    Measured(
                        metric,
                        tuple(draw(st.lists(st.integers(100, 130), min_size=samples, max_size=samples))),
                        draw(st.integers(0, 12)),
                    )
                    for metric, samples in of.items()
                ),
                layouts=layouts,
            )
            for number in range(6)
        ]

    return run(), run()


BOTH = of_one_shape() | st.tuples(RESULTS, RESULTS) | RESULTS.map(lambda results: (results, results))


@pytest.fixture(scope="module", autouse=True)
def at_any_number() -> Iterator[None]:
    """Compare two results by their numbers already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LEAST", 1)
        yield


def in_file(folder: Path, name: str, results: Sequence[Result]) -> Run:
    """Return the run with its results in a file."""
    write(str(folder / name), Run("now", None, HERE, results))
    return read(str(folder / name))


def one_by_one(outcome: Outcome) -> Outcome:
    """Return the outcome with an object for each comparison, in the order of their words."""
    found = [*outcome.comparisons]
    for several in outcome.several:
        for metric in several.metrics or [None]:
            found += [Comparison(key, metric, several.change, several.reason) for key in several.keys]
    assert sum(outcome.counts[change] for change in Change if change is not Change.SAME) == len(found)
    return replace(outcome, comparisons=sorted(found, key=repr), several=[])


def both_ways(base: Sequence[Result], head: Sequence[Result], limits: Limits, environment: Environment) -> list[object]:
    """Return what comes of two runs that are in files, and of the same as objects."""
    with TemporaryDirectory() as folder:
        runs = [in_file(Path(folder), "base", base), in_file(Path(folder), "head", head)]
        listed = [replace(run, results=list(run.results)) for run in runs]
        found: list[object] = []
        for ours, theirs in (runs, listed):
            try:
                found.append(one_by_one(compare([ours], theirs.results, environment, limits)))
            except UsageMistake as mistake:
                found.append(str(mistake))
        return found


@given(BOTH, st.sampled_from(["", "minor_faults:3", "peak_rss:1%", "rows:1 s"]), st.booleans())
def test_the_outcome_is_the_same(both: tuple[list[Result], list[Result]], limit: str, elsewhere: bool) -> None:
    """Of any runs: every comparison, every count, every name; or the mistake in the limit."""
    environment = replace(HERE, kernel="6.1.0") if elsewhere else HERE
    numbers, objects = both_ways(*both, Limits.parse([limit]), environment)
    assert numbers == objects


def results(faults: Sequence[Number], uncertainty: Number = 0, **more: object) -> list[Result]:
    """Return a result for each number of faults, with a count that is always the same."""
    return [
        numbered(
            number,
            Measured(METRICS[0], (value, value + 2), uncertainty),
            Measured(METRICS[3], (5,)),
            Measured(METRICS[7], (number / 7,)),
            **{"layouts": 8, **more},
        )
        for number, value in enumerate(faults)
    ]


def known(folder: Path, base: Sequence[Result], head: Sequence[Result]) -> list[str]:
    """Return the tests that are known to say what another one does."""
    ours, theirs = in_file(folder, "base", base), in_file(folder, "head", head)
    found = alike(by_key(ours.results), by_key(theirs.results), Base([ours], HERE).compare)
    quiet = [key for group in found for key in group.keys if key not in group.different]
    return [key.test.rpartition("::")[2] for key in quiet]


@given(st.integers(1, 4).flatmap(lambda size: st.lists(st.lists(NUMBERS, min_size=size, max_size=size), min_size=1)))
def test_sides(samples: list[list[Number]]) -> None:
    """The value and both ends are those of the judgement by objects, to the last bit."""
    measured = [Measured(METRICS[0], tuple(each), abs(each[0])) for each in samples]
    found = [Result(f"t{number}", "call", metrics={"minor_faults": each}) for number, each in enumerate(measured)]
    with TemporaryDirectory() as folder:
        lines = in_file(Path(folder), "base", found).results
        assert isinstance(lines, ResultLines)
        for shape, rows in enumerate(lines.shapes):
            numbers = _Numbers(lines, shape, array("q", range(rows.rows)))
            expected = [side(each) for place, each in enumerate(measured) if lines.shape_of[place] == shape]
            value, low, high = (column.tolist() for column in numbers.side("minor_faults"))
            assert [Side(*each) for each in zip(value, low, high, strict=True)] == expected


class TestKnown:
    """Most results are not looked at one by one, or nothing were gained."""

    def test_all_but_the_first(self, tmp_path: Path) -> None:
        """Where all say the same, though times differ; also of a result that ran twice."""
        base = results(range(50))
        assert known(tmp_path, base, base[::-1]) == [f"test[{number}]" for number in range(48, -1, -1)]
        assert len(known(tmp_path, [*base, *base], base)) == 49

    @pytest.mark.parametrize(
        ("value", "difference", "same"),
        [(100, 6, True), (100, 7, False), (100, -6, True), (100, -7, False), (10_000, 52, True), (10_000, 53, False)],
    )
    def test_up_to_the_floor(self, tmp_path: Path, value: int, difference: int, same: bool) -> None:
        """Intervals that are 2 wide lie 4 apart, and 5, where the floor is 4; 0.5 % of 10,001 is more than 50."""
        head = results([value, value + difference])
        assert known(tmp_path, results([value, value]), head) == (["test[1]"] if same else [])
        found = compare([Run("now", None, HERE, results([value, value]))], head, HERE)
        assert [each.change for each in found.comparisons if each.change is not Change.UNSURE] == (
            [] if same else [Change.WORSE if difference > 0 else Change.BETTER]
        )

    def test_another_layout_or_floor_is_another_meaning(self, tmp_path: Path) -> None:
        """They are numbers too, but not values."""
        base = results([1, 1, 1])
        head = [base[0], replace(base[1], layouts=1), base[2]]
        assert known(tmp_path, base, head) == ["test[2]"]
        floor = {**base[1].metrics, "minor_faults": Measured(METRICS[1], (1, 3))}
        assert known(tmp_path, [base[0], replace(base[1], metrics=floor), base[2]], base) == ["test[2]"]

    def test_few_or_without_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One by one."""
        monkeypatch.setattr(module, "LEAST", 51)
        assert known(tmp_path, results(range(50)), results(range(50))) == []
        run = Run("now", None, HERE, results(range(60)))
        assert alike(by_key(run.results), by_key(run.results), Base([run], HERE).compare) == []


def test_counts_of_many(tmp_path: Path) -> None:
    """A thousand results, of which every tenth is worse and one is gone."""
    base = in_file(tmp_path, "base", results(range(1000)))
    head = in_file(tmp_path, "head", results([n + 500 if n % 10 == 0 else n for n in range(999)]))
    found: Outcome = compare([base], head.results, HERE, keep_same=False)
    worse, unsure, gone = Change.WORSE, Change.UNSURE, Change.GONE
    assert found.counts == {worse: 100, unsure: 999, gone: 1, Change.SAME: 2 * 999 - 100}
    assert [each.change for each in found.comparisons if each.change is not unsure] == [*[worse] * 100, gone]
    assert found.metrics == {"minor_faults", "allocations", "wall_time"}
