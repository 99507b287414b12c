"""memperf history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_memperf.baseline.file_store import FileStore, platform
from pytest_memperf.cli import main
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Commit, Run
from pytest_memperf.model.units import COUNT

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "", "", floor=4)
CALLS = Metric("calls", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, "", "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a project with five runs, of which the third one became worse."""
    monkeypatch.chdir(tmp_path)
    store = FileStore(tmp_path / ".memperf", platform())
    for number, faults in enumerate([100, 100, 500, 501, 500], 1):
        commit = Commit(f"{number}" * 40, "main", dirty=number == 5)
        file = store.save(Run(f"2026-01-0{number}T10:00:00+00:00", commit, name="nightly" if number == 2 else None))
        metrics = {"minor_faults": Measured(FAULTS, (faults,)), "calls": Measured(CALLS, (7,))}
        file.add(Result("test_x.py::test_x", "call", "process", "glibc", metrics=metrics).as_json())
        file.finish({"environment": {}})
    return tmp_path


def test_the_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a test: what is saved."""
    assert main(["history"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "created", "commit", "branch", "name"]
    assert lines[2].split() == ["0002", "2026-01-02", "10:00", "222222222222", "main", "nightly"]
    assert "555555555555 and changes" in lines[5]


def test_a_test(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plot, the first run, each that changed with its commit, and the last."""
    assert main(["history", "test_x", "--metric=minor_faults"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "test_x.py::test_x minor_faults: ▁▁███"
    assert [row.split()[0] for row in rows] == ["0001", "0003", "0005"]
    assert rows[1].split()[3:8] == ["333333333333", "main", "500", "worse", "apart"]


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
    found = json.loads(capsys.readouterr().out)["series"]
    assert {line["metric"] for line in found} == {"minor_faults", "calls"}
    points = found[0]["points"]
    assert [(point["run"], point["value"], point["change"]) for point in points][1:4] == [
        (2, 100, "same"),
        (3, 500, "worse"),
        (4, 501, "same"),
    ]
    assert points[2]["commit"] == {"id": "3" * 40, "branch": "main", "dirty": False}
    assert main(["history", "--json"]) == 0
    assert [run["number"] for run in json.loads(capsys.readouterr().out)["runs"]] == [1, 2, 3, 4, 5]


def test_no_such_test(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line, and exit code 3."""
    assert main(["history", "test_y"]) == 3
    assert capsys.readouterr().err == "memperf: none of the last 5 runs has a test 'test_y'\n"


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
