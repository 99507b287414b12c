"""Formats of other tools, read back: by pytest-benchmark itself, by the rules that the others publish."""

from __future__ import annotations

import csv as csv_module
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TextIO

import pytest
from pytest_benchmark.storage.file import FileStorage

from pytest_memperf.model.environment import Environment
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import PERTURBED, Result
from pytest_memperf.model.run import Commit, Run
from pytest_memperf.model.units import BYTES, COUNT, RATE, SECONDS, Unit, unit_named
from pytest_memperf.report.exporters import bencher, csv, github_action_benchmark, pytest_benchmark
from pytest_memperf.report.exporters.entries import Entry, entries, fitting

Write = Callable[[TextIO, Run, Sequence[Entry]], None]


def metric(name: str, unit: Unit, better: Better = Better.LOWER) -> Metric:
    """Return a metric."""
    return Metric(name, unit, better, Trust.BOUNDED, Cost.ALWAYS, help="", source="")


METRICS = {
    "minor_faults": Measured(metric("minor_faults", COUNT), (545,)),
    "peak_rss": Measured(metric("peak_rss", BYTES), (4096, 8192, 8192, 40960), 6144),
    "throughput": Measured(metric("throughput", RATE, Better.HIGHER), (2.5e9,), 1e8),
    "rows": Measured(metric("rows", unit_named("rows"), Better.NEITHER), (7,)),
    "wall_time": Measured(metric("wall_time", SECONDS), (0.25, 0.125, 0.5), 0.01),
}
RESULT = Result("tests/test_x.py::TestIt::test_load[a::b]", "call", "process", "glibc", 3, 1, METRICS)
RUN = Run(
    "2026-11-22T10:00:00+00:00",
    Commit("a1" * 20, "main", dirty=True),
    Environment(kernel="6.18.1", cpu="EPYC", architecture="x86_64", cpus=2, python="CPython 3.12.1"),
    [RESULT, replace(RESULT, window="parse")],
    "nightly",
)


def exported(write: Write, run: Run = RUN, metrics: Sequence[str] | None = None) -> str:
    """Return what is written of a run."""
    file = io.StringIO(newline="")
    write(file, run, entries(run.results, metrics))
    return file.getvalue()


class TestEntries:
    """Which results there are, and what they are called."""

    def test_names(self) -> None:
        """The test and the window; what two allocators or isolations share is told apart."""
        others = [replace(RESULT, window="parse"), replace(RESULT, test="b"), replace(RESULT, test="b", allocator="x")]
        names = [entry.name for entry in entries([RESULT, *others])]
        assert names == [RESULT.test, f"{RESULT.test}, window 'parse'", "b, glibc, process", "b, x, process"]

    def test_of_a_test_that_ran_twice_the_last_one_counts_and_no_perturbed_one(self) -> None:
        """As in a comparison."""
        again = replace(RESULT, rounds=9)
        found = entries([RESULT, again, replace(RESULT, test="b", notes=[f"{PERTURBED}by pdb"])])
        assert [entry.result for entry in found] == [again]

    def test_metrics(self) -> None:
        """All, or those that are wanted."""
        assert list(entries([RESULT])[0].metrics) == list(METRICS)
        assert list(entries([RESULT], ["rows", "none"])[0].metrics) == ["rows"]

    @pytest.mark.parametrize(("length", "cut"), [(63, False), (64, False), (65, True), (200, True)])
    def test_long_names(self, length: int, cut: bool) -> None:
        """They are cut where they do not fit, and differ all the same."""
        name, other = "é" * (length - 1) + "1", "é" * (length - 1) + "2"
        assert (fitting(name, 64) != name) is cut
        assert len(fitting(name, 64)) == min(length, 64)
        assert fitting(name, 64) != fitting(other, 64)


class TestPytestBenchmark:
    """Read by pytest-benchmark from PyPI."""

    def benchmarks(self, pytester: pytest.Pytester, *metrics: str) -> list[dict[str, Any]]:
        """Return what its storage makes of a file."""
        path = pytester.path / "run.json"
        path.write_text(exported(pytest_benchmark.write, metrics=metrics or ["wall_time"]))
        warnings: list[str] = []

        class Logger:
            """Keeps what its storage complains of."""

            def warning(self, text: str) -> None:
                warnings.append(text)

        found = list(FileStorage(str(pytester.path / "storage"), Logger()).load_benchmarks(str(path)))
        assert warnings == []
        return found

    def test_storage_loads_it(self, pytester: pytest.Pytester) -> None:
        """The statistics of the samples, in seconds; the metrics beside them, as in a session with its fixture."""
        first, second = self.benchmarks(pytester)
        assert (first["fullname"], first["name"]) == (RESULT.test, "test_load[a::b]")
        assert second["fullname"] == f"{RESULT.test}, window 'parse'"
        assert (first["min"], first["median"], first["max"], first["rounds"]) == (0.125, 0.25, 0.5, 3)
        assert first["mean"] == pytest.approx(0.875 / 3)
        assert first["ops"] == pytest.approx(3 / 0.875)
        assert first["data"] == [0.25, 0.125, 0.5]
        assert first["extra_info"] == {"memperf": {"call": RESULT.as_json()["metrics"]}}

    def test_other_metrics_are_groups_with_their_unit(self, pytester: pytest.Pytester) -> None:
        """Each by its own, so that no bytes stand in a column of seconds beside times."""
        found = self.benchmarks(pytester, "wall_time", "peak_rss")
        assert [(each["group"], each["fullname"]) for each in found[:2]] == [
            ("peak_rss (B)", f"{RESULT.test} peak_rss"),
            (None, RESULT.test),
        ]
        assert found[0]["data"] == [4096, 8192, 8192, 40960]

    def test_its_compare_shows_two(self, pytester: pytest.Pytester) -> None:
        """The command, on two files."""
        slower = replace(METRICS["wall_time"].metric), (2.0, 2.0, 2.0)
        run = replace(RUN, results=[replace(RESULT, metrics={**METRICS, "wall_time": Measured(*slower)})])
        for name, each in (("one", RUN), ("two", run)):
            (pytester.path / f"{name}.json").write_text(exported(pytest_benchmark.write, each, ["wall_time"]))
        result = pytester.run("pytest-benchmark", "compare", "one.json", "two.json", "--sort=fullname")
        assert result.ret == 0
        result.stdout.fnmatch_lines(["*benchmark: 3 tests*", "*(time in ms)*Min*Max*Mean*", "*test_load*2,000.0000*"])

    def test_a_session_compares_with_it(self, pytester: pytest.Pytester) -> None:
        """``--benchmark-compare`` finds the test by its name, and fails where it is so much slower."""
        pytester.makepyfile(test_it="def test_it(benchmark): benchmark.pedantic(sum, [range(9)], rounds=5)")
        ours = replace(RESULT, test="test_it.py::test_it")
        fast = {**METRICS, "wall_time": Measured(METRICS["wall_time"].metric, (1e-12, 1e-12))}
        for result, failing in ((ours, False), (replace(ours, metrics=fast), True)):
            run = replace(RUN, results=[result])
            (pytester.path / "saved.json").write_text(exported(pytest_benchmark.write, run, ["wall_time"]))
            session = pytester.runpytest_subprocess(
                *("-p", "pytest_benchmark.plugin", "-Wignore"),
                *("--benchmark-compare=saved.json", "--benchmark-compare-fail=min:900%"),
            )
            text = session.stdout.str() + session.stderr.str()
            assert "test_it (NOW)" in text
            assert "test_it (save" in text
            assert ("Performance has regressed" in text) is failing


class TestGithubActionBenchmark:
    """By the rules of its custom tools: an array of objects with a name, a number, a unit, and text beside these."""

    @pytest.mark.parametrize(
        ("write", "names"),
        [
            (github_action_benchmark.write_smaller, ["minor_faults", "peak_rss", "wall_time"]),
            (github_action_benchmark.write_bigger, ["throughput"]),
        ],
    )
    def test_each_direction_is_a_file(self, write: Write, names: list[str]) -> None:
        """A metric without a direction is in neither."""
        rows = json.loads(exported(write))
        assert [row["name"] for row in rows[: len(names)]] == [f"{RESULT.test} {name}" for name in names]
        assert len({row["name"] for row in rows}) == len(rows) == 2 * len(names)
        for row in rows:
            assert type(row["value"]) in (int, float)
            assert all(isinstance(row[name], str) for name in ("name", "unit", "extra"))
            assert isinstance(row.get("range", ""), str)
            assert set(row) <= {"name", "value", "unit", "range", "extra"}

    def test_values(self) -> None:
        """In the metric's unit; the range reaches the farthest sample, and there is none where nothing is unsure."""
        faults, peak, time = json.loads(exported(github_action_benchmark.write_smaller))[:3]
        assert (faults["value"], faults["unit"], faults.get("range")) == (545, "count", None)
        assert (peak["value"], peak["unit"], peak["range"]) == (8192, "B", "± 32768")
        assert (time["value"], time["unit"], time["range"]) == (0.25, "s", "± 0.25")
        assert peak["extra"].splitlines()[:2] == ["window: call", "allocator: glibc"]


class TestBencher:
    """By the published schema: benchmark, measure, ``value`` and perhaps both bounds."""

    def test_values_and_bounds(self) -> None:
        """Both ends of the interval; the measure says the unit."""
        data = json.loads(exported(bencher.write))
        assert list(data) == [RESULT.test, f"{RESULT.test}, window 'parse'"]
        assert data[RESULT.test] == {
            "minor_faults (count)": {"value": 545, "lower_value": 545, "upper_value": 545},
            "peak_rss (B)": {"value": 8192, "lower_value": 2048, "upper_value": 40960},
            "throughput (B/s)": {"value": 2.5e9, "lower_value": 2.4e9, "upper_value": 2.6e9},
            "rows (rows)": {"value": 7, "lower_value": 7, "upper_value": 7},
            "wall_time (s)": {"value": 0.25, "lower_value": 0.125, "upper_value": 0.5},
        }

    def test_what_has_no_metric_is_no_benchmark(self) -> None:
        """An object without measures says nothing."""
        run = replace(RUN, results=[replace(RESULT, metrics={}), replace(RESULT, test="b" * 2000)])
        ((name, measures),) = json.loads(exported(bencher.write, run)).items()
        assert len(name) == bencher.LONGEST_BENCHMARK
        assert all(len(measure) <= bencher.LONGEST_MEASURE for measure in measures)


class TestCsv:
    """Read by Python's module."""

    def test_each_metric_is_a_row(self) -> None:
        """With all that tells results apart, and every sample."""
        odd = replace(RESULT, test='a.py::test["x", \n]', metrics={"peak_rss": METRICS["peak_rss"]})
        rows = list(csv_module.DictReader(io.StringIO(exported(csv.write, replace(RUN, results=[RESULT, odd])), "")))
        assert len(rows) == len(METRICS) + 1
        assert rows[-1] == {
            "created": RUN.created, "commit": "a1" * 20, "branch": "main", "dirty": "1", "run": "nightly",
            "test": odd.test, "window": "call", "allocator": "glibc", "isolation": "process",
            "rounds": "3", "layouts": "1", "metric": "peak_rss", "unit": "B", "trust": "bounded", "better": "lower",
            "value": "8192.0", "low": "2048.0", "high": "40960", "uncertainty": "6144",
            "samples": "4096 8192 8192 40960",
        }  # fmt: skip

    def test_outside_of_a_repository(self) -> None:
        """The cells of the commit are empty."""
        (row, *_) = csv_module.DictReader(io.StringIO(exported(csv.write, Run("now", results=[RESULT]))))
        assert (row["commit"], row["branch"], row["dirty"], row["run"]) == ("", "", "", "")
