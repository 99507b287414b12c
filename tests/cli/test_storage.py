"""Where the commands find the runs of a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_memperf.baseline.file_store import platform
from pytest_memperf.baseline.storage import store_at
from pytest_memperf.cli import main
from pytest_memperf.model.run import Run


def keep(storage: str, folder: Path, name: str) -> None:
    """Save a run."""
    store_at(storage, folder, platform()).save(Run("2026-01-01T00:00:00+00:00", name=name)).finish({"environment": {}})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder of a project that has a run in every sort of storage, each with the storage for its name."""
    for storage in (".memperf", "runs", "sqlite:///runs.db"):
        keep(storage, tmp_path, storage.replace(":", "."))
    below = tmp_path / "tests"
    below.mkdir()
    monkeypatch.chdir(below)
    return tmp_path


INI = {
    "pytest.ini": "[pytest]\nmemperf_storage = {}\n",
    "tox.ini": "[pytest]\nmemperf_storage = {}\n",
    "setup.cfg": "[tool:pytest]\nmemperf_storage = {}\n",
    "pyproject.toml": "[tool.pytest.ini_options]\nmemperf_storage = '{}'\n",
}


@pytest.mark.parametrize("storage", ["runs", "sqlite:///runs.db"])
@pytest.mark.parametrize("file", INI)
def test_the_ini_file_tells(project: Path, capsys: pytest.CaptureFixture[str], file: str, storage: str) -> None:
    """That of pytest, from any folder of the project; a path in it begins where the file is."""
    (project / file).write_text(INI[file].format(storage))
    assert main(["history"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == storage.replace(":", ".")
    assert main(["prune", "--keep=0"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 run deleted"
    assert main(["history", "--storage=../.memperf"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == ".memperf"


@pytest.mark.parametrize("text", ["", "[pytest]\n", "[pytest]\nmemperf_storage =\n"])
def test_without_that_the_usual_folder(project: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    """The next one upwards."""
    (project / "pytest.ini").write_text(text)
    assert main(["history"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == ".memperf"


def test_compare_reads_a_database(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says what it is called where it has no such run."""
    assert main(["compare", "nothing", "1", "--storage=sqlite:///../runs.db"]) == 2
    assert capsys.readouterr().err == (
        f"memperf: no file and no run in {platform()} of sqlite:///../runs.db is called 'nothing': "
        "save one with pytest --memperf-save\n"
    )
    assert main(["compare", "1", "1", "--storage=sqlite:///../runs.db"]) == 3


@pytest.mark.parametrize(
    ("ini", "arguments", "message"),
    [
        ("[pytest]\nmemperf_storage = nowhere\n", [], "memperf_storage=nowhere: there is no such folder"),
        ("[pytest]\n", ["--storage=sqlite:///no.db"], "--storage=sqlite:///no.db: there is no such file"),
        ("[pytest]\nmemperf_storage = x://me:secret@host\n", [], "x:// is no storage: name a folder, sqlite:///FILE"),
        ("[pytest]\n[pytest]\n", [], "duplicate section 'pytest': mend the file, or name the runs by --storage"),
    ],
)
def test_mistakes(
    project: Path, capsys: pytest.CaptureFixture[str], ini: str, arguments: list[str], message: str
) -> None:
    """One line, exit code 2."""
    (project / "pytest.ini").write_text(ini)
    assert main(["history", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert "secret" not in line
