"""Reading a file of results again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Commit, Run
from pytest_memperf.report.json_file import write
from pytest_memperf.report.json_reader import read

Validate = Callable[[Any], None]


def test_reads_what_was_written(measured_suite: pytest.Pytester) -> None:
    """Commit, environment and every result come back as they were."""
    measured_suite.runpytest("--memperf-json=out.json")
    text = json.loads((measured_suite.path / "out.json").read_text())
    run = read(str(measured_suite.path / "out.json"))
    assert [result.as_json() for result in run.results] == text["results"]
    assert run.environment.as_json() == text["environment"]
    assert run.created == text["created"]


def test_a_run_can_be_written_by_itself(tmp_path: Path, validate: Validate) -> None:
    """Outside a session, the same format."""
    run = Run("2026-11-21T10:00:00+00:00", Commit("a" * 40), results=[Result("t", "call")])
    write(str(tmp_path / "out.json"), run)
    validate(json.loads((tmp_path / "out.json").read_text()))
    assert read(str(tmp_path / "out.json")) == run


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"format": "pytest-memperf/2"}',
            "was written by a newer pytest-memperf (format 2, read here is up to 1)",
        ),
        ('{"format": "pytest-benchmark/1"}', "is no file of pytest-memperf's results"),
        ('{"format": "pytest-memperf/x"}', "is no file of pytest-memperf's results"),
        ("[]", "is no file of pytest-memperf's results"),
        ("", "is damaged or no JSON ("),
        ('{"format": "pytest-memperf/1", "created": "now", "results": [', "is damaged or no JSON ("),
        ("[" * 100_000, "is damaged or no JSON ("),
        ('{"format": "pytest-memperf/1", "created": "now"}', "is damaged (KeyError: 'results')"),
        ('{"format": "pytest-memperf/1", "created": "now", "results": [{}]}', "is damaged (KeyError: "),
        ('{"format": "pytest-memperf/1", "created": "now", "results": [1]}', "is damaged (TypeError: "),
        ('{"format": "pytest-memperf/1", "created": "now", "results": [], "commit": 1}', "is damaged (TypeError: "),
        (
            '{"format": "pytest-memperf/1", "created": "", "results": [], "environment": 1}',
            "is damaged (TypeError: ",
        ),
    ],
)
def test_refuses_what_it_cannot_read(tmp_path: Path, text: str, message: str) -> None:
    """One line with the file's name, what is wrong, and the mend."""
    file = tmp_path / "in.json"
    file.write_text(text)
    with pytest.raises(UsageMistake) as error:
        read(str(file))
    assert str(error.value).startswith(f"{file} {message}")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_other_bytes(tmp_path: Path) -> None:
    """A path that cannot be read, and a file that is no text."""
    with pytest.raises(UsageMistake, match=r"cannot be read \(No such file or directory\): name a file"):
        read(str(tmp_path / "none.json"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageMistake, match="is damaged or no JSON"):
        read(str(tmp_path / "binary"))
