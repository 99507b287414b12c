"""memperf history."""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path

import pytest
from projects import Project

from pytest_memperf.baseline.file_store import FileStore, platform
from pytest_memperf.cli import main
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Commit, Run
from pytest_memperf.model.units import COUNT, SECONDS

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "", "", floor=4)
CALLS = Metric("calls", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "", "")
TIME = Metric("wall_time", SECONDS, Better.LOWER, Trust.NOISY, Cost.ALWAYS, "", "")


def save(number: int, commit: Commit | None, name: str | None = None, **values: float) -> None:
    """Keep a run of a test that has these values."""
    metrics = {
        metric.name: Measured(metric, (values[metric.name],))
        for metric in (FAULTS, CALLS, TIME)
        if metric.name in values
    }
    created = f"2026-{1 + (number - 1) // 28:02}-{1 + (number - 1) % 28:02}T10:00:00+00:00"
    file = FileStore(Path(".memperf"), platform()).save(Run(created, commit, name=name))
    file.add(Result("test_x.py::test_x", "call", "process", "glibc", metrics=metrics).as_json())
    file.finish({"environment": {}})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a project with five runs, of which the third one became worse."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for number, faults in enumerate([100, 100, 500, 501, 500], 1):
        commit = Commit(f"{number}" * 40, "main", dirty=number == 5)
        save(number, commit, "nightly" if number == 2 else None, minor_faults=faults, calls=7)
    return tmp_path


@pytest.fixture
def times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a project with forty runs without a commit, of which the last ten took longer."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(1)
    for number in range(1, 41):
        save(number, None, wall_time=draw.gauss(1.0 if number <= 30 else 1.5, 0.02), minor_faults=9)
    return tmp_path


def test_the_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a test: what is saved."""
    assert main(["history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "created", "commit", "branch", "name"]
    assert lines[2].split() == ["0002", "2026-01-02", "10:00", "222222222222", "main", "nightly"]
    assert "555555555555 and changes" in lines[5]


def test_a_test(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bars, the first run, each that changed with its commit, and the last; then whose change it is."""
    assert main(["history", "test_x", "--metric=minor_faults"]) == 0
    head, *rows, sentence = capsys.readouterr().out.splitlines()
    assert head == "test_x.py::test_x minor_faults: ▁▁███"
    assert [row.split()[0] for row in rows] == ["0001", "0003", "0005"]
    assert rows[1].split()[3:8] == ["333333333333", "main", "500", "worse", "apart"]
    assert sentence == (
        "  first bad commit: 333333333333 of run 0003, +400 (5.00 x); last good one: 222222222222 of run 0002"
    )


def test_every_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a row each."""
    assert main(["history", "test_x", "--metric=minor_faults", "--all"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:-1]
    assert [row.split()[0] for row in rows] == ["0001", "0002", "0003", "0004", "0005"]


def test_a_plot(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its scale, and a mark where it changed."""
    assert main(["history", "test_x", "--metric=minor_faults", "--plot"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "501 ┤  ███"
    assert lines[6:8] == ["100 ┤▁▁███", "       ^"]
    assert lines[8].startswith("  0001")


def test_only_the_last_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of these the first one has nothing before it."""
    assert main(["history", "test_x", "--last=2"]) == 0
    out = capsys.readouterr().out
    assert "0003" not in out
    assert "worse" not in out
    assert "calls: ▁▁" in out


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of it, and of the runs."""
    assert main(["history", "test_x.py::test_x", "--json"]) == 0
    found = {line["metric"]: line for line in json.loads(capsys.readouterr().out)["series"]}
    assert set(found) == {"minor_faults", "calls"}
    points = found["minor_faults"]["points"]
    assert [(point["run"], point["value"]) for point in points] == [(1, 100), (2, 100), (3, 500), (4, 501), (5, 500)]
    assert points[2]["commit"] == {"id": "3" * 40, "branch": "main", "dirty": False}
    assert found["calls"]["changes"] == []
    assert found["minor_faults"]["changes"] == [
        {
            "verdict": "worse",
            "run": 3,
            "commit": {"id": "3" * 40, "branch": "main", "dirty": False},
            "last_before": 2,
            "unmeasured_commits": 0,
            "earliest": 3,
            "latest": 3,
            "before": 100,
            "after": 500,
            "difference": 400,
            "ratio": 5.0,
            "reason": "apart by 400, of which a layout explains 16",
        }
    ]
    assert main(["history", "--json"]) == 0
    assert [run["number"] for run in json.loads(capsys.readouterr().out)["runs"]] == [1, 2, 3, 4, 5]


def test_times(times: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Many runs tell where the level changed, and that the runs have no commit."""
    assert main(["history", "test_x"]) == 0
    faults, *_, times_head, first, worse, last, sentence = capsys.readouterr().out.splitlines()
    assert faults == f"test_x.py::test_x minor_faults: {'▁' * 40}"
    assert times_head.startswith("test_x.py::test_x wall_time: ")
    assert [row.split()[0] for row in (first, worse, last)] == ["0001", "0031", "0040"]
    assert " worse " in worse
    assert re.fullmatch(
        r"  first bad commit: that of run 0031, \+\d+\.\d+ ms \(\+(49|5\d)\.\d%\); last good one: that of run 0030",
        sentence,
    )


def test_times_without_the_library(
    times: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line says what to install; the rest is shown."""
    monkeypatch.setitem(sys.modules, "ruptures", None)
    assert main(["history", "test_x"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == (
        "no verdict over wall_time: noisy; change points take: pip install 'pytest-memperf[history]'"
    )
    assert "worse" not in told.out
    assert told.err == ""


def test_few_times(times: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line says how many it takes; in JSON as well."""
    assert main(["history", "test_x", "--last=5"]) == 0
    reason = "noisy; change points take 16 runs, 5 are there"
    assert capsys.readouterr().out.splitlines()[-1] == f"no verdict over wall_time: {reason}"
    assert main(["history", "test_x", "--last=5", "--json"]) == 0
    found = {line["metric"]: line.get("undecided") for line in json.loads(capsys.readouterr().out)["series"]}
    assert found == {"wall_time": reason, "minor_faults": None}


def test_branches(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The history of what is checked out, in the order of its commits; of another branch, or of all where asked for."""
    project = Project.new(tmp_path / "project")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    ids = [project.commit({"file": str(number)}) for number in range(4)]
    project.git("checkout", "--quiet", "-b", "feature", ids[1])
    other = project.commit({"file": "other"})
    project.git("checkout", "--quiet", "main")
    runs = [(ids[0], 100), (other, 900), (ids[3], 500), (ids[1], 100), (ids[2], 500)]
    for number, (commit, faults) in enumerate(runs, 1):
        save(number, Commit(commit, "feature" if commit == other else "main"), minor_faults=faults)

    assert main(["history", "test_x"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[0].endswith(" ▁▁██")
    assert told.out.splitlines()[-1] == (
        f"  first bad commit: {ids[2][:12]} of run 0005, +400 (5.00 x); last good one: {ids[1][:12]} of run 0004"
    )
    assert told.err == "memperf: 1 run not of HEAD (feature) left out: --branch NAME shows another branch\n"
    assert main(["history", "test_x", "--branch=feature"]) == 0
    assert f"first bad commit: {other[:12]} of run 0002" in capsys.readouterr().out
    assert main(["history", "--branch=feature"]) == 0
    assert [row.split()[0] for row in capsys.readouterr().out.splitlines()[1:]] == ["0001", "0004", "0002"]
    assert main(["history", "test_x", "--all-branches"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith(" ▁█▅▁▅")


def test_commits_without_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been one of them: how many there are is said."""
    project = Project.new(tmp_path / "project")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    ids = [project.commit({"file": str(number)}) for number in range(4)]
    for number, (commit, faults) in enumerate([(ids[0], 100), (ids[3], 500)], 1):
        save(number, Commit(commit, "main"), minor_faults=faults)

    assert main(["history", "test_x"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"  first bad commit: {ids[3][:12]} of run 0002 (or one of 2 commits before it of which no run is kept), "
        f"+400 (5.00 x); last good one: {ids[0][:12]} of run 0001"
    )


def test_no_such_test(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line, and exit code 3."""
    assert main(["history", "test_y"]) == 3
    assert capsys.readouterr().err == "memperf: none of the last 5 runs has a test 'test_y'\n"


def test_where_nothing_is_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line says where that is, and of which platforms there are runs; of a test the exit code is 3."""
    (folder / ".memperf" / platform()).rename(folder / ".memperf" / "Linux-other")
    line = (
        f"memperf: no run is kept yet in .memperf/{platform()} (there are runs of Linux-other): "
        "save one with pytest --memperf-save\n"
    )
    assert main(["history"]) == 0
    assert capsys.readouterr() == ("", line)
    assert main(["history", "test_x", "--json"]) == 3
    assert capsys.readouterr() == ('{\n "series": []\n}\n', line)


def test_a_folder_of_one_platform(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Is no storage: below it nothing would be found."""
    assert main(["history", f"--storage=.memperf/{platform()}"]) == 2
    told = "this folder has the runs of one platform: name the one above it"
    assert capsys.readouterr().err == f"memperf: --storage=.memperf/{platform()}: {told}\n"


def test_a_damaged_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told, and the others are shown."""
    damaged = FileStore(folder / ".memperf", platform()).runs()[1].path
    damaged.write_text(damaged.read_text()[:300])
    assert main(["history", "test_x", "--metric=minor_faults"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("test_x.py::test_x minor_faults: ▁███")
    assert damaged.name in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["test_x", "--metric=minor_fault"], "has that of such a test; did you mean 'minor_faults'?"),
        (["test_x", "--branch=mian"], "--branch=mian: no run is of that; did you mean 'main'?"),
        (["test_x", "--branch=main", "--all-branches"], "give --branch or --all-branches: not both"),
        (["--last=0"], "--last=0: give a whole number from 1 up"),
        (["--storage=nowhere"], "--storage=nowhere: there is no such folder"),
    ],
)
def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """One line, exit code 2."""
    assert main(["history", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1
