"""The table right below pytest-benchmark's, and what its own tools make of a file with our metrics."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("every_plugin")

Suite = Callable[[str], None]
SUITE = """
@pytest.mark.memperf
@pytest.mark.parametrize("pages", [30, 7])
def test_pages(benchmark, pages):
    benchmark.group = f"of {pages // 10}"
    benchmark.pedantic(touch, (pages,), rounds=3)
class TestOther:
    @pytest.mark.memperf
    def test_more(self, benchmark): benchmark.pedantic(touch, (50,), rounds=3)
@pytest.mark.memperf
def test_without(): touch(3)
"""
UNMARKED = "def test_plain(benchmark): benchmark.pedantic(touch, (20,), rounds=3)\n"
INSTEAD = ("--benchmark-json=b.json", "--memperf-json=out.json")


def tables(result: pytest.RunResult, title: str) -> dict[str, list[list[str]]]:
    """Return the rows of each table with such a title, by group, as their cells: two blanks or more part these."""
    found: dict[str, list[list[str]]] = {}
    rows: list[list[str]] | None = None
    for line in result.outlines:
        begins = re.fullmatch(rf"-* {title}(?: '(.*)')?: \d+ tests? -*", line)
        if begins:
            rows = found.setdefault(begins[1] or "", [])
        elif rows is not None and re.match(r"Name|-+$|\s", line):
            continue
        elif not line.strip() or line.startswith("="):
            rows = None
        elif rows is not None:
            rows.append(re.split(r"\s{2,}", line.strip()))
    return found


def names(found: dict[str, list[list[str]]]) -> dict[str, list[str]]:
    """Return the first cells of each row, by group."""
    return {group: [row[0] for row in rows] for group, rows in found.items()}


@pytest.mark.parametrize("isolation", ["inline", "process"])
@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--benchmark-sort=name",),
        ("--benchmark-sort=mean", "--benchmark-name=long"),
        ("--benchmark-sort=fullname", "--benchmark-name=normal", "--benchmark-group-by=func"),
        ("--benchmark-group-by=fullname", "--benchmark-columns=min"),
    ],
)
def test_names_and_order(pytester: pytest.Pytester, suite: Suite, isolation: str, arguments: tuple[str, ...]) -> None:
    """The same groups, rows and names as in its own table, whatever it is told; faults are those of each test."""
    suite(SUITE + UNMARKED.replace("def", "@pytest.mark.benchmark(group='of 3')\ndef"))
    result = pytester.runpytest(f"--memperf-isolation={isolation}", *arguments)
    result.assert_outcomes(passed=5)
    its, ours = tables(result, "benchmark"), tables(result, "memperf")
    assert names(ours) == {group: shown for group, shown in names(its).items() if group in ours}
    rows = [row for rows in ours.values() for row in rows]
    assert sorted(row[1] for row in rows if row[1] != "-") == ["30", "50", "7"]
    for name, faults in (("test_pages[30]", "30"), ("test_pages[7]", "7"), ("test_more", "50"), ("test_plain", "-")):
        assert all(row[1] == faults for row in rows if name in row[0])
    begin = next(place for place, line in enumerate(result.outlines) if re.match(r"-+ memperf", line))
    assert "Legend:" in result.outlines[begin - 4]


def test_columns(pytester: pytest.Pytester, suite: Suite) -> None:
    """Those that are chosen; without a choice memory's and what was asked for, and no time: its own table has that."""
    suite("@pytest.mark.memperf(metrics=['rss_anon'], max_major_faults=9)\n" + UNMARKED)
    (head,) = [line for line in pytester.runpytest().outlines if line.startswith("Name  ") and "faults" in line]
    assert head.split() == ["Name", "minor_faults", "major_faults", "peak_rss", "retained_rss", "rss_anon"]
    result = pytester.runpytest("--memperf-columns=major_faults,wall_time")
    (head,) = [line for line in result.outlines if line.startswith("Name  ") and "faults" in line]
    assert head.split() == ["Name", "major_faults", "wall_time"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--benchmark-quiet",),
        ("--benchmark-disable",),
        ("-p", "no:benchmark"),
        ("-n2", "-W", "ignore"),
    ],
    ids=lambda arguments: arguments[-1],
)
def test_no_table_without_its_own(pytester: pytest.Pytester, suite: Suite, arguments: tuple[str, ...]) -> None:
    """Where it shows none, nor do we, beside that of all results."""
    suite(SUITE.replace("benchmark.group =", "group ="))
    if "no:benchmark" in arguments:
        suite(
            "@pytest.fixture\ndef benchmark(): return lambda *_: None\npytestmark = pytest.mark.memperf\n"
            "def test_it(benchmark): benchmark(print)\n"
        )
    result = pytester.runpytest_subprocess(*arguments)
    assert result.ret == 0
    assert not tables(result, "benchmark")
    assert not tables(result, "memperf")


def test_nothing_measured(pytester: pytest.Pytester, suite: Suite) -> None:
    """Its table stays alone where no test of it is measured, in the session or in a group."""
    suite(UNMARKED + "@pytest.mark.memperf\ndef test_other(): pass\n")
    assert not tables(pytester.runpytest(), "memperf")
    suite(SUITE + UNMARKED.replace("def", "@pytest.mark.benchmark(group='alone')\ndef"))
    result = pytester.runpytest("-k", "plain or more")
    assert set(tables(result, "benchmark")) == {"alone", ""}
    assert names(tables(result, "memperf")) == {"": ["test_more"]}


def test_comparison(pytester: pytest.Pytester, suite: Suite) -> None:
    """Beside an earlier run's times stands what was measured then; also where its comparison fails the session."""
    suite(SUITE)
    pytester.runpytest("--benchmark-autosave", "--benchmark-group-by=name").assert_outcomes(passed=4)
    suite(SUITE.replace("touch, (pages,)", "touch, (pages + 4000,)"))
    result = pytester.runpytest_subprocess(
        "--benchmark-compare", "--benchmark-compare-fail=min:10%", "--benchmark-group-by=name"
    )
    ours = tables(result, "memperf")
    assert names(ours) == names(tables(result, "benchmark"))
    faults = sorted((row[0].partition(" ")[2][:4], row[1]) for row in ours["test_pages[7]"])
    assert faults == [("(000", "7"), ("(NOW", "4,007")]
    assert "Performance has regressed" in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("extra", [{}, {"memperf": 5}, {"memperf": {"memperf": {"minor_faults": {}}}}])
def test_an_earlier_run_without_ours(pytester: pytest.Pytester, suite: Suite, extra: dict[str, Any]) -> None:
    """Has no figures: it was saved without this plugin, or by another version."""
    suite("@pytest.mark.memperf\n" + UNMARKED)
    pytester.runpytest("--benchmark-autosave").assert_outcomes(passed=1)
    (file,) = Path(pytester.path).glob(".benchmarks/*/*.json")
    saved = json.loads(file.read_text())
    saved["benchmarks"][0]["extra_info"] = extra
    file.write_text(json.dumps(saved))
    (rows,) = tables(pytester.runpytest("--benchmark-compare", "--benchmark-sort=name"), "memperf").values()
    cells = {row[0].split()[1][:4]: row[1] for row in rows}
    assert cells == {"(000": "-", "(NOW": "20"}


@pytest.mark.parametrize("isolation", ["inline", "process"])
def test_its_own_tool_reads_the_file(pytester: pytest.Pytester, suite: Suite, isolation: str) -> None:
    """``pytest-benchmark compare`` shows a saved file, which holds what our own file holds."""
    suite(SUITE)
    pytester.runpytest(f"--memperf-isolation={isolation}", *INSTEAD).assert_outcomes(passed=4)
    ours = {
        (each["test"], each["window"]): each["metrics"] for each in json.loads(Path("out.json").read_text())["results"]
    }
    saved = json.loads(Path("b.json").read_text())["benchmarks"]
    assert len(saved) == 3
    for each in saved:
        assert each["extra_info"]["memperf"]["memperf"] == ours[each["fullname"], "memperf"]

    program = "from pytest_benchmark.cli import main; main()"
    command = [sys.executable, "-c", program, "compare", "b.json", "--csv=b.csv", "--columns=min,max"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=pytester.path)
    assert "test_pages[30]" in shown.stdout
    with open("b.csv", newline="") as file:
        assert {row["name"] for row in csv.DictReader(file)} == {each["fullname"] for each in saved}
