"""memperf prune."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_memperf.baseline.file_store import FileStore, stores
from pytest_memperf.cli import main
from pytest_memperf.model.run import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a storage with four runs of one platform and one of another."""
    for platform, years in (("Linux-a", (2019, 2020, 2021, 2022)), ("Linux-b", (2018,))):
        for year in years:
            file = FileStore(tmp_path, platform).save(Run(f"{year}-01-01T00:00:00+00:00"))
            file.finish({"environment": {}})
    (tmp_path / "notes.txt").write_text("mine")
    return tmp_path


def numbers(folder: Path) -> dict[str, list[int]]:
    """Return the runs that are left."""
    return {store.platform: [run.number for run in store.runs()] for store in stores(folder)}


def test_keep(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last runs of each platform stay, and each file that goes is told."""
    assert main(["prune", "--keep=2", f"--storage={folder}"]) == 0
    assert numbers(folder) == {"Linux-a": [3, 4], "Linux-b": [1]}
    out = capsys.readouterr().out.splitlines()
    assert [Path(line).name[:4] for line in out[:-1]] == ["0001", "0002"]
    assert out[-1] == "2 runs deleted"


def test_older_and_keep(folder: Path) -> None:
    """With both, what is beyond the number and older."""
    assert main(["prune", "--keep=0", "--older=1h", f"--storage={folder}"]) == 0
    assert numbers(folder) == {"Linux-a": [], "Linux-b": []}
    assert (folder / "notes.txt").exists()


def test_numbers_go_on(folder: Path) -> None:
    """A run that is saved afterwards gets the next number."""
    main(["prune", "--keep=1", f"--storage={folder}"])
    FileStore(folder, "Linux-a").save(Run("2026-01-01T00:00:00+00:00")).finish({"environment": {}})
    assert numbers(folder)["Linux-a"] == [4, 5]


def test_a_dry_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It tells, and deletes nothing."""
    before = numbers(folder)
    assert main(["prune", "--older=1h", "--dry-run", f"--storage={folder}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "5 runs would be deleted"
    assert numbers(folder) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say which runs go: --keep 100, --older 90d, or both"),
        (["--keep=-1"], "--keep=-1: give a whole number from 0 up"),
        (["--keep=some"], "--keep=some: give a whole number from 0 up"),
        (["--older=old"], "'old' is no age: write a number of hours, days or weeks, such as 12h, 90d or 8w"),
    ],
)
def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """One line, exit code 2, and nothing is deleted."""
    before = numbers(folder)
    assert main(["prune", *arguments, f"--storage={folder}"]) == 2
    assert capsys.readouterr().err == f"memperf: {message}\n"
    assert numbers(folder) == before
