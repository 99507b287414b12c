"""A reference means the first that exists of: a file, the latest, a number, a name, a branch, a commit, a pattern."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pytest_memperf.baseline.file_store import FileStore
from pytest_memperf.baseline.judging import NOISY_BAND
from pytest_memperf.baseline.reference import Baseline, find
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.run import Commit, Run, parse_name

A, B, C = "a" * 40, "b" * 40, "c" * 40


class Project:
    """A store and a folder of which git may know something."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = FileStore(folder / "store", "Linux-any")

    def save(self, name: str | None = None, commit: str | None = None, branch: str | None = None, **more: bool) -> Path:
        """Keep a run without results, and return its file."""
        run = Run("2026-11-22T04:29:47+00:00", Commit(commit, branch, **more) if commit else None, name=name)
        file = self.store.save(run)
        file.finish({"environment": {}})
        return Path(file.path)

    def find(self, reference: str) -> Baseline:
        """Look for the run."""
        return find(reference, self.store, self.folder)

    def names(self, reference: str) -> list[str | None]:
        """Return what the runs were saved as that are found."""
        return [run.name for run in self.find(reference).runs]

    def git(self, *arguments: str) -> str:
        """Run git in the project."""
        told = subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@b", *arguments],
            cwd=self.folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return told.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project without runs."""
    return Project(tmp_path)


class TestMeanings:
    """What a reference may be, each by itself."""

    def test_a_file(self, project: Project) -> None:
        """By its path, from the store or from elsewhere."""
        path = project.save("first")
        os.rename(path, project.folder / "mine.json")
        found = project.find(str(project.folder / "mine.json"))
        assert [run.name for run in found.runs] == ["first"]
        assert found.described == f"the file {project.folder / 'mine.json'}"

    def test_latest(self, project: Project) -> None:
        """The newest run counts, and those of its branch are its band; changes that are in no commit do not matter."""
        project.save("1", A, "main")
        project.save("2", A, "other")
        project.save("3", B, "main", dirty=True)
        assert project.names("latest") == ["3", "1"]

    def test_latest_without_commits(self, project: Project) -> None:
        """Outside of a repository all runs are of one kind."""
        project.save("1")
        project.save("2", A, "main")
        project.save("3")
        assert project.names("latest") == ["3", "1"]

    @pytest.mark.parametrize("reference", ["2", "02", "0002", "00002"])
    def test_a_number(self, project: Project, reference: str) -> None:
        """With or without the zeros of its file's name."""
        project.save("first")
        project.save("second")
        assert project.names(reference) == ["second"]

    def test_a_name(self, project: Project) -> None:
        """All runs of the name, the newest first: they are each other's band."""
        project.save("base", A, "main")
        project.save("other", A, "main")
        project.save("base", B, "main", dirty=True)
        found = project.find("base")
        assert [run.commit and run.commit.id for run in found.runs] == [B, A]
        assert found.described == f"run 0003, commit {B[:12]} with changes of main saved as base 2026-11-22 04:29"

    def test_a_branch(self, project: Project) -> None:
        """Its runs, the newest first, but for those of a changed tree: they are no state of it."""
        project.save("1", A, "topic/one")
        project.save("2", B, "topic/one")
        project.save("3", B, "topic/one", dirty=True)
        project.save("4", C, "main")
        assert project.names("topic/one") == ["2", "1"]
        assert project.find("topic/one").described == (
            f"run 0002, commit {B[:12]} of topic/one saved as 2 2026-11-22 04:29"
        )

    @pytest.mark.parametrize("reference", ["aaaa", "a" * 12, A])
    def test_a_commit(self, project: Project, reference: str) -> None:
        """By four digits or more; runs of a changed tree are no state of it."""
        project.save("1", A)
        project.save("2", B)
        project.save("3", A, dirty=True)
        assert project.names(reference) == ["1"]

    @pytest.mark.parametrize("reference", ["aaa", "A" * 40, "g" * 40])
    def test_no_commit(self, project: Project, reference: str) -> None:
        """Three digits say too little, and git writes small letters."""
        project.save("1", A)
        assert project.names(reference) == []

    @pytest.mark.parametrize(
        ("reference", "names"),
        [("*", ["2", "1"]), ("0001_*", ["1"]), ("*_dirty*", ["2"]), ("*_bbbb*", ["2"]), ("0003*", []), ("0001", ["1"])],
    )
    def test_a_pattern(self, project: Project, reference: str, names: list[str]) -> None:
        """Of the whole file's name."""
        project.save("1", A)
        project.save("2", B, dirty=True)
        assert project.names(reference) == names

    def test_what_git_knows(self, project: Project) -> None:
        """A tag, and the commit before: git tells their ids, and runs of a changed tree are none of them."""
        project.git("init", "-q")
        project.git("commit", "-q", "--allow-empty", "-m", "one")
        project.git("tag", "v1")
        project.save("1", project.git("rev-parse", "HEAD"))
        project.save("2", project.git("rev-parse", "HEAD"), dirty=True)
        project.git("commit", "-q", "--allow-empty", "-m", "two")
        project.save("3", project.git("rev-parse", "HEAD"))
        assert project.names("v1") == ["1"]
        assert project.names("HEAD~1") == ["1"]
        assert project.names("HEAD") == ["3"]
        assert project.names("HEAD~2") == []
        assert project.names("--all") == []

    @pytest.mark.parametrize("reference", ["latest", "1", "0", "base", "main", A, "*", "HEAD", "9" * 5000, "x" * 300])
    def test_nothing(self, project: Project, reference: str) -> None:
        """Without runs there is nothing that any of them could mean, and no mistake either."""
        assert project.find(reference) == Baseline([], "", [])

    def test_a_band_ends(self, project: Project) -> None:
        """Older runs than a band takes are not read."""
        for number in range(NOISY_BAND + 1):
            project.save(str(number))
        assert project.names("latest") == [str(number) for number in range(NOISY_BAND, 0, -1)]


class TestOrder:
    """What one word means that could mean several things."""

    def test_a_file_comes_before_all(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is what everybody can see."""
        path = project.save("in the file")
        project.save("1")
        os.rename(path, project.folder / "latest")
        assert project.names("latest") == ["1"]
        monkeypatch.chdir(project.folder)
        assert project.names("latest") == ["in the file"]

    def test_number_name_branch_commit_pattern(self, project: Project) -> None:
        """Each run could be meant by ``0001``; without the first the next is."""
        commit = "0001" + "f" * 36
        project.save("number")
        project.save("0001")
        project.save("branch", A, "0001")
        project.save("commit", commit)
        paths = [saved.path for saved in project.store.runs()]
        found = []
        for path in paths:
            found += project.names("0001")
            path.unlink()
        assert found == ["number", "0001", "branch", "commit"]

    def test_a_branch_is_nearer_than_what_git_calls_so(self, project: Project) -> None:
        """A run of the branch counts though the branch has moved on since."""
        project.git("init", "-q", "-b", "main")
        project.git("commit", "-q", "--allow-empty", "-m", "one")
        project.save("before", A, "main")
        project.save("elsewhere", project.git("rev-parse", "HEAD"), "other")
        assert project.names("main") == ["before"]
        assert project.names("refs/heads/main") == ["elsewhere"]


class TestDamage:
    """Files of the store that cannot be read."""

    def test_the_first_line_is_damaged(self, project: Project) -> None:
        """Of such a run neither name nor branch are known: the others count, and a remark names the file."""
        project.save("base", A, "main")
        path = project.save("base", B, "main")
        path.write_text("{")
        for reference in ("latest", "base", "main"):
            found = project.find(reference)
            assert [run.commit and run.commit.id for run in found.runs] == [A]
            assert len(found.remarks) == 1
            assert found.remarks[0].startswith(f"{path} is damaged or no JSON (")

    def test_nothing_else_is_found(self, project: Project) -> None:
        """The file might have been what was meant: its remark is told with nothing, too."""
        project.save("base").write_text("{")
        found = project.find("base")
        assert found.runs == []
        assert len(found.remarks) == 1

    @pytest.mark.parametrize("reference", ["2", "0002_*"])
    def test_its_number_is_a_mistake(self, project: Project, reference: str) -> None:
        """The file's name says that this one is meant."""
        project.save("base")
        path = project.save("base")
        path.write_text("{")
        with pytest.raises(UsageMistake, match=f"^{path} is damaged"):
            project.find(reference)

    def test_the_run_that_counts_is_torn(self, project: Project) -> None:
        """Its first line says that it is meant, and nothing else will do."""
        project.save("base")
        path = project.save("base")
        path.write_text(path.read_text()[:-3])
        for reference in ("base", "latest", "2"):
            with pytest.raises(UsageMistake, match=f"^{path} is damaged"):
                project.find(reference)

    def test_another_of_the_band_is_torn(self, project: Project) -> None:
        """It is left out, with a remark."""
        path = project.save("base")
        path.write_text(path.read_text()[:-3])
        project.save("base")
        found = project.find("base")
        assert len(found.runs) == 1
        assert [remark.partition(" is damaged")[0] for remark in found.remarks] == [str(path)]

    def test_a_file_by_its_path(self, project: Project) -> None:
        """The line names it."""
        (project.folder / "mine").write_text("mine")
        with pytest.raises(UsageMistake, match=f"^{project.folder}/mine is damaged or no JSON"):
            project.find(str(project.folder / "mine"))


class TestNames:
    """What a run can be saved as."""

    @pytest.mark.parametrize("name", ["base", "v1.2-rc+3", "topic/one", "größe", "x" * 300, "1a", "-x"])
    def test_good(self, name: str) -> None:
        """Words, versions, branches."""
        assert parse_name(name) == name

    @pytest.mark.parametrize(
        "name", ["latest", "7", "0007", "٧", "two words", "a*", "[a]", "a:b", "é\n", "a,b", "\udc80"]
    )
    def test_bad(self, name: str) -> None:
        """What a reference would mean otherwise, and what a shell or a pattern takes apart."""
        with pytest.raises(UsageMistake) as mistake:
            parse_name(name)
        assert str(mistake.value) == (
            "give a name of letters, digits and . _ - + /, which is no number and not 'latest'"
        )

    @pytest.mark.parametrize("kind", ["file", "folder", "link"])
    def test_paths(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        """``--memperf-save tests`` was not meant to take the folder for a name."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").touch()
        (tmp_path / "folder").mkdir()
        (tmp_path / "link").symlink_to("nowhere")
        with pytest.raises(UsageMistake) as mistake:
            parse_name(kind)
        assert str(mistake.value) == (
            f"{kind} is there as a file or folder: give another name, or put tests before the option"
        )
