"""pytest-benchmark in children: its table, its files and its comparisons are those of the session."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

Run = Callable[..., pytest.RunResult]
Results = Callable[[], list[dict[str, object]]]


@pytest.fixture(autouse=True)
def with_benchmark(only_this_plugin: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the sessions inside the tests load it."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p memperf -p benchmark -p xdist")


SUITE = """
@pytest.mark.parametrize("size", [10, 20])
def test_timed(benchmark, size):
    benchmark.group = f"group of {size}"
    benchmark.extra_info["size"] = size
    benchmark.pedantic(bytes, (size,), rounds=7, iterations=3)
@pytest.mark.benchmark(min_rounds=3, max_time=0.001, timer=time.perf_counter)
def test_marked(benchmark): benchmark(time.sleep, 0.001)
def test_plain(): pass
"""


def test_statistics_arrive(isolated: Run, pytester: pytest.Pytester) -> None:
    """The table and the saved file hold what was timed in the children, with groups, parameters and extra_info."""
    result = isolated(SUITE, "--benchmark-json=b.json")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*benchmark 'group of 10': 1 tests*", "*benchmark 'group of 20': 1 tests*"])
    saved = {each["name"]: each for each in json.loads((pytester.path / "b.json").read_text())["benchmarks"]}
    assert set(saved) == {"test_timed[10]", "test_timed[20]", "test_marked"}
    timed, marked = saved["test_timed[20]"], saved["test_marked"]
    assert timed["fullname"] == "test_it.py::test_timed[20]"
    assert timed["params"] == {"size": 20}
    assert timed["stats"]["rounds"] == len(timed["stats"]["data"]) == 7
    assert timed["stats"]["iterations"] == 3
    assert timed["extra_info"]["size"] == 20
    assert timed["extra_info"]["memperf"]["memperf"]["minor_faults"]["samples"]
    assert marked["options"]["timer"] == "perf_counter"
    assert 0.001 < marked["stats"]["min"] < 1


def test_comparison_with_a_saved_run(isolated: Run) -> None:
    """--benchmark-compare-fail judges what was timed in the children."""
    slower = "def test_it(benchmark): benchmark.pedantic(time.sleep, (float(os.environ['PAUSE']),), rounds=2)"
    patch = pytest.MonkeyPatch()
    with patch.context() as environment:
        environment.setenv("PAUSE", "0.001")
        isolated(slower, "--benchmark-autosave").assert_outcomes(passed=1)
        environment.setenv("PAUSE", "0.1")
        result = isolated(slower, "--benchmark-compare", "--benchmark-compare-fail=min:500%")
    assert "Performance has regressed" in result.stdout.str() + result.stderr.str()
    assert result.ret != 0


def test_layouts_add_nothing_to_it(isolated: Run, pytester: pytest.Pytester) -> None:
    """A test that runs in three layouts is one benchmark."""
    isolated(SUITE, "--memperf-layouts=3", "--benchmark-json=b.json", "-k", "timed").assert_outcomes(
        passed=2, deselected=2
    )
    assert len(json.loads((pytester.path / "b.json").read_text())["benchmarks"]) == 2


@pytest.mark.parametrize("arguments", [("--benchmark-disable",), ("-n1", "-W", "ignore")], ids=["disabled", "n1"])
def test_disabled_in_the_driver_is_disabled_in_children(
    isolated: Run, results: Results, arguments: tuple[str, ...]
) -> None:
    """One call is made, no time is taken, and a budget on time says why."""
    isolated(
        """
calls = []
@pytest.mark.memperf(max_wall_time="9 s")
def test_it(benchmark):
    benchmark(calls.append, 1)
    assert len(calls) == 1
""",
        "--memperf-json=out.json",
        *arguments,
    ).assert_outcomes(passed=1)
    (check,) = results()[0]["checks"]  # type: ignore[misc]
    assert check["status"] == "unchecked"
    assert check["reason"].startswith("pytest-benchmark is disabled")
