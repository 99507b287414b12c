"""The commit is what git says; else what the system that runs the tests says; else what an archive says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_memperf.environment.commit import SYSTEMS, Variables, commit_named, commit_of, line_of_commits
from pytest_memperf.model.run import Commit

A, B = "a" * 40, "b" * 64
NO_VARIABLES: Mapping[str, str] = {}


class Repository:
    """A repository with one commit on ``main``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q", "-b", "main")
        self.change("one")
        self.git("add", "file")
        self.commit()

    def git(self, *arguments: str) -> str:
        """Run git here."""
        told = subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@b", "-c", "protocol.file.allow=always", *arguments],
            cwd=self.folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return told.stdout.strip()

    def change(self, text: str) -> None:
        """Change the file that is under version control."""
        (self.folder / "file").write_text(text)

    def commit(self) -> str:
        """Commit, and return the id."""
        self.git("commit", "-q", "--allow-empty", "-am", "a change")
        return self.head

    @property
    def head(self) -> str:
        """The id of the commit that is checked out."""
        return self.git("rev-parse", "HEAD")


@pytest.fixture(autouse=True)
def plain_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have git know no settings and no repository but those of the test."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with one commit; skip without git."""
    if shutil.which("git") is None:
        pytest.skip("there is no git: install it")
    return Repository(tmp_path / "project")


class TestGit:
    """States of a repository."""

    def test_a_branch(self, repository: Repository) -> None:
        """Clean, with its id and its branch; in a folder below it is the same."""
        (repository.folder / "below").mkdir()
        for folder in (repository.folder, repository.folder / "below"):
            assert commit_of(folder, NO_VARIABLES) == Commit(repository.head, "main", dirty=False)

    def test_a_branch_with_an_odd_name(self, repository: Repository) -> None:
        """Any name that git takes."""
        repository.git("checkout", "-q", "-b", "topic/größe#1")
        commit = commit_of(repository.folder, NO_VARIABLES)
        assert commit is not None
        assert commit.branch == "topic/größe#1"

    def test_a_detached_head(self, repository: Repository) -> None:
        """It has no branch."""
        repository.git("checkout", "-q", "--detach")
        assert commit_of(repository.folder, NO_VARIABLES) == Commit(repository.head, None, dirty=False)

    @pytest.mark.parametrize("how", ["edited", "staged", "removed", "renamed", "another mode"])
    def test_changes(self, repository: Repository, how: str) -> None:
        """Whatever the next commit could take up of files under version control."""
        file = repository.folder / "file"
        if how == "edited":
            repository.change("two")
        elif how == "staged":
            (repository.folder / "new").write_text("new")
            repository.git("add", "new")
        elif how == "removed":
            file.unlink()
        elif how == "renamed":
            repository.git("mv", "file", "other")
        else:
            file.chmod(0o755)
        assert commit_of(repository.folder, NO_VARIABLES) == Commit(repository.head, "main", dirty=True)

    def test_a_conflict_is_a_change(self, repository: Repository) -> None:
        """Two sides, and no state of either."""
        repository.git("checkout", "-q", "-b", "other")
        repository.change("theirs")
        repository.commit()
        repository.git("checkout", "-q", "main")
        repository.change("ours")
        repository.commit()
        with pytest.raises(subprocess.CalledProcessError):
            repository.git("merge", "-q", "other")
        assert commit_of(repository.folder, NO_VARIABLES) == Commit(repository.head, "main", dirty=True)

    def test_other_files_are_no_change(self, repository: Repository) -> None:
        """Caches, the saved runs themselves, and a file that was written again as it was."""
        (repository.folder / ".memperf").mkdir()
        (repository.folder / ".memperf" / "0001").write_text("")
        repository.change("one")
        assert commit_of(repository.folder, NO_VARIABLES) == Commit(repository.head, "main", dirty=False)

    @pytest.mark.parametrize(
        "setting", ["status.showUntrackedFiles=all", "status.short=true", "status.showStash=true", "color.ui=always"]
    )
    def test_settings_of_the_user_change_nothing(self, repository: Repository, setting: str) -> None:
        """What git status shows to people is another matter."""
        repository.git("config", *setting.split("="))
        repository.change("two")
        repository.git("stash", "-q")
        (repository.folder / "untracked").write_text("")
        assert commit_of(repository.folder, NO_VARIABLES) == Commit(repository.head, "main", dirty=False)

    def test_the_index_is_left_alone(self, repository: Repository) -> None:
        """A git that runs beside the tests finds no lock of ours, and the index as it was."""
        os.utime(repository.folder / "file", (1, 1))  # git would note the new time
        index = repository.folder / ".git" / "index"
        before = index.read_bytes()
        commit_of(repository.folder, NO_VARIABLES)
        assert index.read_bytes() == before

    def test_a_worktree(self, repository: Repository, tmp_path: Path) -> None:
        """It has a branch and changes of its own."""
        repository.git("worktree", "add", "-q", "-b", "aside", str(tmp_path / "aside"))
        (tmp_path / "aside" / "file").write_text("two")
        assert commit_of(tmp_path / "aside", NO_VARIABLES) == Commit(repository.head, "aside", dirty=True)
        assert commit_of(repository.folder, NO_VARIABLES) == Commit(repository.head, "main", dirty=False)

    def test_a_shallow_clone(self, repository: Repository, tmp_path: Path) -> None:
        """As CI systems make them: the head is there, the one before it is not."""
        before, head = repository.head, repository.commit()
        repository.git("clone", "-q", "--depth", "1", f"file://{repository.folder}", str(tmp_path / "shallow"))
        assert commit_of(tmp_path / "shallow", NO_VARIABLES) == Commit(head, "main", dirty=False)
        assert commit_named("HEAD~1", repository.folder) == before
        assert commit_named("HEAD~1", tmp_path / "shallow") is None

    def test_a_repository_of_longer_ids(self, tmp_path: Path) -> None:
        """SHA-256 instead of SHA-1."""
        if shutil.which("git") is None:
            pytest.skip("there is no git: install it")
        folder = tmp_path / "longer"
        made = subprocess.run(
            ["git", "init", "-q", "--object-format=sha256", "-b", "main", folder], capture_output=True, check=False
        )
        if made.returncode:
            pytest.skip("this git knows no SHA-256: install 2.29 or newer")
        git = ["git", "-c", "user.name=A", "-c", "user.email=a@b"]
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], cwd=folder, check=True)
        commit = commit_of(folder, NO_VARIABLES)
        assert commit is not None
        assert re.fullmatch("[0-9a-f]{64}", commit.id)
        assert commit_named("HEAD", folder) == commit.id

    def test_before_the_first_commit(self, tmp_path: Path) -> None:
        """There is a branch, and nothing on it."""
        if shutil.which("git") is None:
            pytest.skip("there is no git: install it")
        subprocess.run(["git", "init", "-q", "-b", "main", tmp_path / "empty"], check=True)
        assert commit_of(tmp_path / "empty", NO_VARIABLES) is None
        assert commit_named("HEAD", tmp_path / "empty") is None

    def test_no_repository(self, tmp_path: Path) -> None:
        """Neither a mistake nor a commit."""
        assert commit_of(tmp_path, NO_VARIABLES) is None
        assert commit_named("HEAD", tmp_path) is None

    def test_no_folder(self, tmp_path: Path) -> None:
        """It was removed in the meantime."""
        assert commit_of(tmp_path / "gone", NO_VARIABLES) is None

    def test_a_broken_repository(self, repository: Repository) -> None:
        """Git refuses, and we have nothing to say."""
        (repository.folder / ".git" / "HEAD").write_text("nonsense")
        assert commit_of(repository.folder, NO_VARIABLES) is None

    def test_no_git(self, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
        """A container with the sources and without git."""
        monkeypatch.setenv("PATH", str(repository.folder))
        assert commit_of(repository.folder, NO_VARIABLES) is None
        assert commit_named("HEAD", repository.folder) is None

    def test_a_git_that_hangs_is_given_up(self, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
        """A network file system that does not answer must not hold a session for ever."""
        tools = repository.folder / "tools"
        tools.mkdir()
        (tools / "git").write_text("#!/bin/sh\nexec sleep 60\n")
        (tools / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        monkeypatch.setattr("pytest_memperf.environment.commit.TIMEOUT", 0.1)
        assert commit_of(repository.folder, NO_VARIABLES) is None


class TestVariables:
    """Systems that run tests tell the commit to programs without git."""

    @pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.commit)
    def test_each_system(self, tmp_path: Path, system: Variables) -> None:
        """The commit by its variable, and the branch by the first one that has a value."""
        assert commit_of(tmp_path, {system.commit: A}) == Commit(A)
        for number, branch in enumerate(system.branch):
            others = dict.fromkeys(system.branch[:number], "") | dict.fromkeys(system.branch[number:], "other")
            assert commit_of(tmp_path, {system.commit: B, **others, branch: "topic/one"}) == Commit(B, "topic/one")

    @pytest.mark.parametrize(
        ("told", "branch"),
        [
            ("refs/heads/main", "main"),
            ("origin/main", "main"),
            ("topic/origin/x", "topic/origin/x"),
            ("", None),
            ("refs/tags/v1", None),
        ],
    )
    def test_branches_have_their_short_names(self, tmp_path: Path, told: str, branch: str | None) -> None:
        """As git has them in a checkout."""
        assert commit_of(tmp_path, {"GIT_COMMIT": A, "GIT_BRANCH": told}) == Commit(A, branch)

    @pytest.mark.parametrize("value", ["", "HEAD", "a" * 39, "A" * 40, "$(git rev-parse HEAD)", f"{A}\n"])
    def test_what_is_no_id_is_passed_over(self, tmp_path: Path, value: str) -> None:
        """A variable of the name may mean something else."""
        assert commit_of(tmp_path, {"GITHUB_SHA": value, "GITHUB_REF": "main"}) is None
        assert commit_of(tmp_path, {"GITHUB_SHA": value, "CI_COMMIT_SHA": A}) == Commit(A)

    def test_git_is_nearer(self, repository: Repository) -> None:
        """A variable may be left over from another checkout."""
        variables = {"GITHUB_SHA": A, "GITHUB_REF": "theirs"}
        assert commit_of(repository.folder, variables) == Commit(repository.head, "main")
        repository.git("checkout", "-q", "--detach")
        assert commit_of(repository.folder, variables) == Commit(repository.head, None)

    def test_the_branch_of_a_detached_head(self, repository: Repository) -> None:
        """These systems check the commit out by its id; its changes are git's to tell."""
        repository.git("checkout", "-q", "--detach")
        repository.change("two")
        variables = {"GITHUB_SHA": repository.head, "GITHUB_HEAD_REF": "topic/one", "GITHUB_REF": "refs/pull/7/merge"}
        assert commit_of(repository.folder, variables) == Commit(repository.head, "topic/one", dirty=True)

    def test_the_process_has_them(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nobody passes any."""
        for system in SYSTEMS:
            monkeypatch.delenv(system.commit, raising=False)
        assert commit_of(tmp_path) is None
        monkeypatch.setenv("DRONE_COMMIT_SHA", A)
        monkeypatch.setenv("DRONE_BRANCH", "main")
        monkeypatch.delenv("DRONE_SOURCE_BRANCH", raising=False)
        assert commit_of(tmp_path) == Commit(A, "main")


class TestArchive:
    """``.git_archival.txt``, as setuptools-scm wants it."""

    TEMPLATE = "node: $Format:%H$\nnode-date: $Format:%cI$\ndescribe-name: $Format:%(describe:tags=true)$\n"

    def test_git_fills_it_in(self, repository: Repository, tmp_path: Path) -> None:
        """The archive has the commit; the checkout has git."""
        (repository.folder / ".git_archival.txt").write_text(self.TEMPLATE)
        (repository.folder / ".gitattributes").write_text(".git_archival.txt export-subst\n")
        repository.git("add", ".")
        head = repository.commit()
        repository.git("archive", "--prefix=exported/", "-o", str(tmp_path / "it.zip"), "HEAD")
        shutil.unpack_archive(tmp_path / "it.zip", tmp_path)
        assert commit_of(tmp_path / "exported", NO_VARIABLES) == Commit(head)
        assert commit_of(repository.folder, NO_VARIABLES) == Commit(head, "main")

    @pytest.mark.parametrize("text", ["", TEMPLATE, "node:\n", f"other: {A}\n", f"node: {A}0\n", "\x00\xff"])
    def test_without_an_id_it_says_nothing(self, tmp_path: Path, text: str) -> None:
        """The template itself, most often."""
        (tmp_path / ".git_archival.txt").write_bytes(text.encode("latin-1"))
        assert commit_of(tmp_path, NO_VARIABLES) is None

    def test_variables_are_nearer(self, tmp_path: Path) -> None:
        """They have the branch too."""
        (tmp_path / ".git_archival.txt").write_text(f"node: {A}\r\n")
        assert commit_of(tmp_path, NO_VARIABLES) == Commit(A)
        assert commit_of(tmp_path, {"CIRCLE_SHA1": B, "CIRCLE_BRANCH": "main"}) == Commit(B, "main")


class TestNamed:
    """Names of commits that git knows."""

    def test_each_kind(self, repository: Repository) -> None:
        """Tags of both kinds, branches, ids and what leads on from them."""
        first = repository.head
        repository.git("tag", "light")
        repository.git("tag", "-a", "-m", "a tag", "annotated")
        second = repository.commit()
        for name in ("light", "annotated", "HEAD~1", "HEAD^", "main~1", first, first[:10], "refs/tags/light"):
            assert commit_named(name, repository.folder) == first
        for name in ("HEAD", "main", "@"):
            assert commit_named(name, repository.folder) == second

    @pytest.mark.parametrize(
        "name", ["", "none", "HEAD~9", "HEAD:file", "--all", "-h", "HEAD main", "HEAD..main", "^HEAD", "*", "é"]
    )
    def test_nothing(self, repository: Repository, name: str) -> None:
        """What is no commit, no option of git either, and more than one."""
        assert commit_named(name, repository.folder) is None


class TestLine:
    """The commits that lead to one."""

    def test_a_branch_with_a_merge(self, repository: Repository) -> None:
        """The oldest first; what was merged is one commit."""
        first = repository.head
        repository.git("checkout", "-q", "-b", "other")
        other = repository.commit()
        repository.git("checkout", "-q", "main")
        repository.change("another")  # or it would be the same commit
        second = repository.commit()
        repository.git("merge", "-q", "--no-ff", "-m", "merged", "other")
        assert line_of_commits("main", repository.folder) == [first, second, repository.head]
        assert line_of_commits("other", repository.folder) == [first, other]
        assert line_of_commits("HEAD~1", repository.folder) == [first, second]

    def test_nothing(self, repository: Repository, tmp_path: Path) -> None:
        """An unknown name, an option of git's, a shallow clone, and no repository have none."""
        repository.commit()
        repository.git("clone", "-q", "--depth", "1", f"file://{repository.folder}", str(tmp_path / "shallow"))
        assert line_of_commits("unknown", repository.folder) is None
        assert line_of_commits("--all", repository.folder) is None
        assert line_of_commits("HEAD", tmp_path / "shallow") is None
        assert line_of_commits("HEAD", tmp_path) is None
