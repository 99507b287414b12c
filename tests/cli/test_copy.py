"""memperf copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_memperf.baseline.file_store import FileStore
from pytest_memperf.baseline.storage import stores_at
from pytest_memperf.cli import main
from pytest_memperf.model.run import Run

DATABASE = "sqlite:///runs.db"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a project with two runs of one platform and one of another."""
    monkeypatch.chdir(tmp_path)
    for platform, name in (("Linux-a", "first"), ("Linux-a", "second"), ("Linux-b", "third")):
        FileStore(Path(".memperf"), platform).save(Run("2026-01-01T00:00:00+00:00", name=name)).finish({})
    return tmp_path


def names(storage: str) -> list[tuple[str, int, str | None]]:
    """Return the runs that are there."""
    stores = stores_at(storage, Path.cwd())
    return [(store.platform, run.number, run.head.name) for store in stores for run in store.runs()]


def test_every_platform_is_copied(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each run is told; the other way round all is there already."""
    assert main(["copy", ".memperf", DATABASE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        ".memperf/Linux-a/0001_unversioned_20260101T000000.json -> run 0001 of Linux-a of sqlite:///runs.db"
    )
    assert lines[-1] == "3 runs copied"
    assert (
        names(DATABASE)
        == names(".memperf")
        == [("Linux-a", 1, "first"), ("Linux-a", 2, "second"), ("Linux-b", 1, "third")]
    )
    assert main(["copy", DATABASE, ".memperf"]) == 0
    assert capsys.readouterr().out == "0 runs copied, 3 there already\n"
    assert main(["copy", DATABASE, "elsewhere"]) == 0
    assert names("elsewhere") == names(".memperf")


def test_a_damaged_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told on standard error, and by the exit code."""
    FileStore(Path(".memperf"), "Linux-a").runs()[0].path.write_text("{")
    assert main(["copy", ".memperf", DATABASE]) == 3
    output = capsys.readouterr()
    assert output.out.splitlines()[-1] == "2 runs copied"
    assert output.err.startswith("memperf: left out: .memperf/Linux-a/0001_unversioned_20260101T000000.json is damaged")
    assert len(output.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", DATABASE], "nowhere: there is no such folder: name one of --memperf-storage"),
        (["sqlite:///nowhere.db", "a"], "sqlite:///nowhere.db: there is no such file: name one of --memperf-storage"),
        ([".memperf", "sqlite:///no/runs.db"], "cannot be written (No such file or directory): make the folder first"),
        ([".memperf", "mysql://me:secret@host/runs"], "mysql:// is no storage: name a folder, sqlite:///FILE or "),
        (["empty", DATABASE], "empty: no run is saved there: name a folder of --memperf-storage"),
    ],
)
def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """One line, exit code 2, and nothing is made."""
    (folder / "empty").mkdir()
    assert main(["copy", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert "secret" not in line
    assert not (folder / "runs.db").exists()
