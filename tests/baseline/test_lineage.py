"""Which saved runs make the history of a branch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pytest_memperf.baseline.lineage import lineage
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.run import Commit, Run


class Repository:
    """Main has four commits; a branch of two left it at the second one, and was merged before the fourth."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q", "-b", "main")
        self.ids = {name: self.commit(name) for name in ("one", "two")}
        self.git("checkout", "-q", "-b", "feature")
        self.ids |= {name: self.commit(name) for name in ("left", "more")}
        self.git("checkout", "-q", "main")
        self.ids["three"] = self.commit("three")
        self.git("merge", "-q", "--no-ff", "-m", "merged", "feature")
        self.ids["merged"] = self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """Run git here."""
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@b", "-c", "protocol.file.allow=always", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout.strip()

    def commit(self, name: str) -> str:
        """Commit, and return the id."""
        self.git("commit", "-q", "--allow-empty", "-m", name)
        return self.git("rev-parse", "HEAD")

    def runs(self, *names: str, branch: str = "main") -> dict[int, Run]:
        """Return a run of each commit, in this order."""
        return {
            number: Run("2026-01-01T00:00:00+00:00", Commit(self.ids.get(name, "f" * 40), branch))
            for number, name in enumerate(names, 1)
        }


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Return it; git knows no settings but its own."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return Repository(tmp_path / "project")


def test_the_order_of_commits(repository: Repository) -> None:
    """Whichever was run first; of one commit the first run first."""
    found = lineage(repository.runs("merged", "one", "three", "one", "two"), None, repository.folder)
    assert found.numbers == [2, 4, 5, 3, 1]
    assert found.remark == ""


def test_what_was_merged_is_the_merge(repository: Repository) -> None:
    """The commits of a branch are none of main's, and their runs are told to be left out."""
    runs = repository.runs("one", "left", "three", "merged")
    runs[2] = Run("", Commit(repository.ids["left"], "feature"))
    found = lineage(runs, None, repository.folder)
    assert found.numbers == [1, 3, 4]
    assert found.remark == "1 run not of HEAD (feature) left out: --branch NAME shows another branch"


def test_another_branch(repository: Repository) -> None:
    """Its commits, and those before it left main."""
    runs = repository.runs("one", "two", "three", "more", "left")
    assert lineage(runs, "feature", repository.folder).numbers == [1, 2, 5, 4]


def test_a_detached_head(repository: Repository) -> None:
    """What is checked out leads the way."""
    repository.git("checkout", "-q", repository.ids["more"])
    assert lineage(repository.runs("one", "three", "more"), None, repository.folder).numbers == [1, 3]


def test_a_shallow_clone(repository: Repository, tmp_path: Path) -> None:
    """It lacks the commits: runs are in the order in which they were saved, and the branch is what they say."""
    clone = tmp_path / "clone"
    repository.git("clone", "-q", "--depth=1", f"file://{repository.folder}", str(clone))
    runs = repository.runs("two", "one", "merged")
    runs[2] = Run("", Commit(repository.ids["one"], "old"))
    found = lineage(runs, None, clone)
    assert list(found.numbers) == [1, 2, 3]
    assert found.remark == "in the order in which they were saved, of main, old: --branch NAME shows one"
    assert list(lineage(runs, "main", clone).numbers) == [1, 3]


def test_without_git(tmp_path: Path, repository: Repository) -> None:
    """All runs, in order; without a word where there is one branch."""
    found = lineage(repository.runs("two", "one") | {3: Run("")}, None, tmp_path)
    assert (list(found.numbers), found.remark) == ([1, 2, 3], "")


def test_commits_that_are_gone(repository: Repository) -> None:
    """Those of a branch that was squashed and deleted are found by its name."""
    runs = repository.runs("gone", "gone too", branch="squashed")
    assert list(lineage(runs, "squashed", repository.folder).numbers) == [1, 2]
    assert list(lineage(runs, None, repository.folder).numbers) == [1, 2]


def test_no_such_branch(repository: Repository) -> None:
    """The nearest one is named."""
    with pytest.raises(UsageMistake, match=r"^--branch=mian: no run is of that; did you mean 'main'\?$"):
        lineage(repository.runs("one"), "mian", repository.folder)


def test_a_branch_is_no_option(repository: Repository) -> None:
    """Of git's."""
    with pytest.raises(UsageMistake):
        lineage(repository.runs("one"), "--all", repository.folder)
