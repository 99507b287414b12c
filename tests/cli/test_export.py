"""memperf export: a run by its number, name or file, in the format of another tool."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_memperf.baseline.file_store import FOLDER, FileStore, platform
from pytest_memperf.cli import main
from pytest_memperf.cli.export import FORMATS
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import PERTURBED, Result
from pytest_memperf.model.run import Run
from pytest_memperf.model.units import COUNT, SECONDS
from pytest_memperf.report.json_file import write

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source="")
HITS = Metric("hits", COUNT, Better.HIGHER, Trust.EXACT, Cost.ALWAYS, help="", source="")
TIME = Metric("wall_time", SECONDS, Better.LOWER, Trust.NOISY, Cost.ALWAYS, help="", source="")
RESULT = Result(
    "test_it.py::test_it",
    "call",
    metrics={"minor_faults": Measured(FAULTS, (5,)), "hits": Measured(HITS, (2,)), "wall_time": Measured(TIME, (0.5,))},
)
RUN = Run("2026-11-22T10:00:00+00:00", None, Environment(kernel="6.18.1"), [RESULT], "main")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a saved run, and with the same in a file."""
    monkeypatch.chdir(tmp_path)
    file = FileStore(tmp_path / FOLDER, platform()).save(RUN)
    file.add(RESULT.as_json())
    file.finish({"environment": RUN.environment.as_json()})
    write("out.json", RUN)
    return tmp_path


def export(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Return the exit code of a call, and what it wrote to both outputs."""
    code = main(["export", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("name", FORMATS)
def test_every_way_to_name_a_run(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By number, name, pattern, file and folder: the same text, also in a file."""
    code, text, _ = export(capsys, "1", f"--format={name}")
    assert code == 0
    assert "test_it.py::test_it" in text
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "out.json").rename(tmp_path / "folder" / "below" / "out.json")
    for run in ("main", "0001_*", "latest", "folder/below/out.json", "folder"):
        expected = text.replace("main,", ",") if run == "" else text
        assert export(capsys, run, f"--format={name}")[:2] == (0, expected)
    assert export(capsys, "1", f"--format={name}", "--output=written")[:2] == (0, "")
    assert (tmp_path / "written").read_bytes().decode() == text


def test_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    """Only those that are asked for; what has another direction is told on standard error."""
    _, text, remarks = export(capsys, "1", "--format=customSmallerIsBetter")
    assert [row["name"].split()[1] for row in json.loads(text)] == ["minor_faults", "wall_time"]
    assert remarks == "memperf: left out, lower is not better: hits\n"
    _, text, remarks = export(capsys, "1", "--format=bencher", "--metric=hits", "--metric=wall_time")
    assert (list(json.loads(text)["test_it.py::test_it"]), remarks) == (["hits (count)", "wall_time (s)"], "")
    _, text, _ = export(capsys, "1", "--format=pytest-benchmark")
    assert [each["fullname"] for each in json.loads(text)["benchmarks"]] == ["test_it.py::test_it"]


def test_perturbed_results_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """With a word about it."""
    debugged = replace(RESULT, test="other", notes=[f"{PERTURBED}by pdb"])
    write("out.json", replace(RUN, results=[RESULT, debugged]))
    _, text, remarks = export(capsys, "out.json", "--format=csv")
    assert "other" not in text
    assert remarks == f"memperf: left out, {PERTURBED}by pdb\n"


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        (["1"], "the following arguments are required: --format (see memperf export --help)"),
        (["1", "--format=benchr"], "--format=benchr: choose from pytest-benchmark, customSmallerIsBetter, "),
        (["1", "--format=benchr"], "csv; did you mean 'bencher'?"),
        (["none", "--format=csv"], "is called 'none': save one with pytest --memperf-save"),
        (["1", "--format=csv", "--metric=hit"], "--metric=hit: no result has that; did you mean 'hits'?"),
        (["1", "--format=customBiggerIsBetter", "--metric=wall_time"], " 10:00 has nothing that --format=customBigger"),
        (["1", "--format=csv", "--output=no/such"], "no/such cannot be written (No such file or directory): make "),
        (["folder", "--format=csv"], "folder has results of 2 environments: name a file of one of them"),
        (["empty.json", "--format=csv"], "empty.json has nothing that --format=csv can say: choose another"),
    ],
)
def test_mistakes(words: list[str], mistake: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One line on standard error, exit code 2, and nothing is written."""
    (tmp_path / "folder").mkdir()
    write("folder/one.json", RUN)
    write("folder/two.json", replace(RUN, environment=Environment(kernel="6.1.0")))
    write("empty.json", replace(RUN, results=[]))
    code, text, error = export(capsys, *words)
    assert (code, text) == (2, "")
    assert error.startswith("memperf: ")
    assert mistake in error
    assert error.count("\n") == 1


def test_what_is_no_file_is_not_replaced(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Nor is it written to: a pipe may have no reader."""
    os.mkfifo(tmp_path / "pipe")
    code, output, mistake = export(capsys, "main", "--format=csv", "--output=pipe")

    assert (code, output) == (2, "")
    assert mistake == "memperf: pipe cannot be written (not a regular file): name a file, it is replaced whole\n"
    assert (tmp_path / "pipe").is_fifo()
