"""Sides of a comparison that are in a storage of their own: ``URI`` and ``URI#RUN``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_memperf.baseline.file_store import platform
from pytest_memperf.baseline.storage import store_at
from pytest_memperf.cli import main
from pytest_memperf.model.environment import Environment
from pytest_memperf.model.metric import Better, Cost, Measured, Metric, Trust
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Commit, Run
from pytest_memperf.model.units import COUNT

FAULTS = Metric("minor_faults", COUNT, Better.LOWER, Trust.EXACT, Cost.ALWAYS, help="", source="")
OTHER = "sqlite:///other.db"
COMMIT = "ab" * 20


def keep(storage: str, value: int, name: str | None = None, commit: Commit | None = None) -> None:
    """Save a run of one test."""
    result = Result(
        "test_it.py::test_it", "call", isolation="process", metrics={"minor_faults": Measured(FAULTS, (value,))}
    )
    file = store_at(storage, Path(), platform()).save(Run("2026-11-22T10:00:00+00:00", commit, name=name))
    file.add(result.as_json())
    file.finish({"environment": Environment(kernel="6.18.1").as_json()})


def git(*words: str) -> str:
    """Return what git says in the current folder."""
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@b", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def described(storage: str) -> str:
    """Return what the storage is called."""
    return store_at(storage, Path(), platform()).described


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder of which nothing is known."""
    monkeypatch.chdir(tmp_path)


def sides_of(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """Return what was compared."""
    main(["compare", *words])
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith(("base: ", "head: "))]


def test_runs_of_two_storages(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The latest of each; what is told names them, without the password, and what an ini file says does not matter."""
    keep(address, 900)
    keep(address, 100)
    keep(OTHER, 900, "main")
    Path("pytest.ini").write_text("[pytest]\nmemperf_storage = nowhere\n")
    assert main(["compare", address, OTHER]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[:2] == [
        f"base: run 0002, 2026-11-22 10:00, in {described(address)}",
        f"head: run 0001, saved as main 2026-11-22 10:00, in {described(OTHER)}",
    ]
    assert main(["compare", OTHER, address]) == 0
    assert "?" not in capsys.readouterr().out


@pytest.mark.parametrize("run", ["1", "base", "topic/one", COMMIT[:8], COMMIT, "0001_*"])
def test_a_run_of_a_storage(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By its number, name, branch, commit or pattern, and not by a file of that name."""
    keep(OTHER, 100, "base", Commit(COMMIT, "topic/one"))
    keep(OTHER, 900, "later", Commit("cd" * 20, "main"))
    Path("topic").mkdir()
    Path(run).write_text("no results")
    base, head = sides_of(capsys, f"{OTHER}#{run}", OTHER)
    assert base.startswith(f"base: run 0001, commit {COMMIT[:12]} of topic/one saved as base ")
    assert head.startswith("head: run 0002, ")


def test_a_name_of_git_in_a_storage(capsys: pytest.CaptureFixture[str]) -> None:
    """With all its signs; the repository is the one of the current folder."""
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message=one")
    keep(OTHER, 100, commit=Commit(git("rev-parse", "HEAD")))
    git("commit", "--quiet", "--allow-empty", "--message=two")
    keep(OTHER, 900)
    for name in ("HEAD@{1}", "HEAD~1"):
        assert sides_of(capsys, f"{OTHER}#{name}", OTHER)[0].startswith("base: run 0001, commit ")


def test_a_file_with_the_sign_in_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    """What is behind the last one is the run."""
    keep("sqlite:///odd#1.db", 100)
    assert sides_of(capsys, "sqlite:///odd#1.db#latest", "sqlite:///odd#1.db#1") == [
        f"{side}: run 0001, 2026-11-22 10:00, in {described('sqlite:///odd#1.db')}" for side in ("base", "head")
    ]


@pytest.mark.parametrize("run", ["", "#main"])
def test_a_storage_without_runs(address: str, capsys: pytest.CaptureFixture[str], run: str) -> None:
    """As a base it is no baseline yet, as a head nothing to compare; one line, without the password."""
    keep(OTHER, 100)
    keep(address, 100)
    store_at(address, Path(), platform()).runs()[0].remove()
    told = (
        f"no run is kept yet that '{run[1:] or 'latest'}' names in {described(address)}: "
        "save one with pytest --memperf-save\n"
    )
    assert main(["compare", address + run, OTHER]) == 0
    assert capsys.readouterr() == ("", f"memperf: there is no baseline yet: {told}")
    for words in (["compare", OTHER, address + run], ["export", address + run, "--format=csv"]):
        assert main(words) == 2
        assert capsys.readouterr() == ("", f"memperf: {told}")


@pytest.mark.parametrize(
    ("side", "mistake"),
    [
        ("sqlite:///no.db", "sqlite:///no.db: there is no such file: name one of --memperf-storage"),
        ("sqlite:///no.db#main", "sqlite:///no.db: there is no such file: name one of --memperf-storage"),
        ("sqlite:///text", "text cannot be read (file is not a database): "),
        (f"{OTHER}#mian", f"of {OTHER} is called 'mian': save one with pytest --memperf-save"),
        ("mysql://me:secret@host/runs#main", "mysql:// is no storage: name a folder, sqlite:///FILE or postgresql://"),
        ("postgresql://me:se#cret@127.0.0.1:1/runs", "postgresql://me@127.0.0.1:1/runs cannot be read ("),
        ("postgresql://me:se#cret@127.0.0.1:1/runs#main", "postgresql://me@127.0.0.1:1/runs cannot be read ("),
        ("postgresql://me:secret@127.0.0.1:1/runs#HEAD@{1}", "postgresql://me@127.0.0.1:1/runs cannot be read ("),
    ],
)
@pytest.mark.parametrize("command", ["base", "head", "export"])
def test_mistakes(command: str, side: str, mistake: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 2, and no part of a password."""
    keep(OTHER, 100)
    Path("text").write_text("no database " * 100)
    words = {
        "base": ["compare", side, OTHER],
        "head": ["compare", OTHER, side],
        "export": ["export", side, "--format=csv"],
    }
    assert main(words[command]) == 2
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert mistake in error
    assert "cret" not in error


def test_export(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The run of a storage, and its name without the password where a format has no place for it."""
    keep(address, 100)
    assert main(["export", f"{address}#1", "--format=csv"]) == 0
    assert "test_it.py::test_it" in capsys.readouterr().out
    assert main(["export", address, "--format=customBiggerIsBetter"]) == 2
    assert capsys.readouterr().err == (
        f"memperf: run 0001, 2026-11-22 10:00, in {described(address)} has nothing that --format=customBiggerIsBetter "
        "can say: choose another\n"
    )
