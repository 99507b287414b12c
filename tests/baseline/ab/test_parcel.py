"""A parcel: what is unpacked of it gives the same copies as the repository that it was packed from."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import Project

from pytest_memperf.baseline.ab.parcel import Parcel, pack, unpack
from pytest_memperf.baseline.ab.repository import Repository, State
from pytest_memperf.model.errors import UsageMistake

PATHS = st.sampled_from(["a", "a/b", "a/b/c", "d", "d/e", "f g", "é", "-n"])
CONTENTS = st.binary(max_size=20)


def sent(repository: Repository, states: list[State], folder: Path, with_files: bool = False) -> Repository:
    """Return what arrives of these states."""
    parcel = pack(repository, states, folder / "parcel", with_files)
    assert parcel.size == sum(len(chunk) for chunk in parcel.chunks())
    unpack(Parcel.from_json(parcel.as_json()), parcel.chunks(), folder / "there")
    return Repository(folder / "there", repository.called)


def files(folder: Path) -> dict[str, bytes | str]:
    """Return all files below a folder but those of git."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if ".git" not in path.relative_to(folder).parts and not (path.is_dir() and not path.is_symlink())
    }


def alike(here: Repository, there: Repository, state: State, folder: Path) -> Project:
    """Check that both make the same copy of a state, for git too, and return the one from there."""
    copies = folder / f"here-{state.commit[:8]}{state.changes}", folder / f"copy-{state.commit[:8]}{state.changes}"
    for repository, copy in zip((here, there), copies, strict=True):
        repository.copy(state, copy)
    first, second = map(Project, copies)
    assert files(second.folder) == files(first.folder)
    for words in (("status", "--porcelain"), ("log", "--format=%H %an %s"), ("tag", "--list"), ("ls-files", "--stage")):
        assert second.git(*words) == first.git(*words)
    return second


class TestWhatArrives:
    """Two states of a repository."""

    def test_two_commits(self, project: Project, tmp_path: Path) -> None:
        """Their files, the whole history, and the tags, of which versions are made; no third commit's files."""
        project.commit({"secret.txt": "of old"})
        project.git("tag", "--annotate", "--message=one", "v1.0")
        project.commit({"secret.txt": "of late"})
        base = project.commit({"a.txt": "a\n" * 100})
        project.git("rm", "--quiet", "secret.txt")
        project.git("tag", "lightweight")
        head = project.commit({"a.txt": "a\n" * 100 + "b"})
        project.git("checkout", "--quiet", "-b", "other")
        project.commit({"other.txt": "never sent"})
        project.git("tag", "v9")
        before, objects = project.seen(), project.git("count-objects", "-v")
        here = Repository(project.folder)
        there = sent(here, [here.state(base), here.state(head)], tmp_path)
        assert (project.seen(), project.git("count-objects", "-v")) == (before, objects)
        project.git("tag", "--delete", "v9")  # which both copies would tell

        assert "v1.0-3-g" in alike(here, there, here.state(head), tmp_path).git("describe", "--long", "--match=v*")
        alike(here, there, here.state(base), tmp_path)
        blobs = Project(tmp_path / "there").git("cat-file", "--batch-all-objects", "--batch-check").count(" blob ")
        assert blobs == 3  # both of a.txt, and the secret of the base

    def test_a_shallow_clone(self, project: Project, tmp_path: Path) -> None:
        """As much of the history as there is here."""
        for text in "abcd":
            project.commit({"a.txt": text, f"{text}.txt": text})
        project.git("clone", "--quiet", "--depth=2", project.folder.as_uri(), str(tmp_path / "clone"))
        here = Repository(tmp_path / "clone")
        base, head = here.state("HEAD^"), here.state("HEAD")
        there = sent(here, [base, head], tmp_path)

        assert alike(here, there, head, tmp_path).git("rev-list", "--count", "HEAD") == "2"
        alike(here, there, base, tmp_path)

    def test_submodules(self, project: Project, tmp_path: Path) -> None:
        """Those that are here go along, at the commit of each state, also within one another; with no origin."""
        inner, outer = Project.new(tmp_path / "inner"), Project.new(tmp_path / "outer")
        inner.commit({"i.txt": "1"})
        outer.commit({"o.txt": "1"})
        outer.git("submodule", "--quiet", "add", str(inner.folder), "in side")
        outer.commit({})
        project.git("submodule", "--quiet", "add", str(outer.folder), "lib")
        project.git("submodule", "--quiet", "update", "--init", "--recursive")
        base = project.commit({})
        outer.commit({"o.txt": "2"})
        Project(project.folder / "lib").git("pull", "--quiet", "origin", "main")
        head = project.commit({"a.txt": "a"})
        for origin in (inner, outer):
            shutil.rmtree(origin.folder)
        here = Repository(project.folder)
        there = sent(here, [here.state(base), here.state(head)], tmp_path, with_files=True)

        assert files(alike(here, there, here.state(base), tmp_path).folder)["lib/o.txt"] == b"1"
        found = files(alike(here, there, here.state(head), tmp_path).folder)
        assert files(there.top) == found
        assert (found["lib/o.txt"], found["lib/in side/i.txt"]) == (b"2", b"1")

    def test_changes_in_a_submodule(self, project: Project, tmp_path: Path) -> None:
        """They are not sent, and so nothing is."""
        inner = Project.new(tmp_path / "inner")
        inner.commit({"i.txt": "1"})
        project.git("submodule", "--quiet", "add", str(inner.folder), "lib")
        project.commit({})
        project.write({"lib/i.txt": "2"})
        here = Repository(project.folder)

        with pytest.raises(UsageMistake, match=r"^--tx: changes in the submodule lib are not sent: commit them"):
            sent(here, [here.state("HEAD"), here.working_tree()], tmp_path)

    def test_the_working_tree(self, project: Project, tmp_path: Path) -> None:
        """Files as they are, staged or not, with links and modes, and none that is ignored; the index stays."""
        project.commit({"a.txt": "a", "b.txt": "b", "gone.txt": "", ".gitignore": "*.o\n"})
        project.write({"a.txt": "changed", "new/file.txt": "new", "new/x.o": "ignored"})
        (project.folder / "b.txt").chmod(0o755)
        (project.folder / "link").symlink_to("nowhere")
        (project.folder / "gone.txt").unlink()
        project.write({"staged.txt": "staged"})
        project.git("add", "staged.txt")
        project.write({"staged.txt": "and changed"})
        before, objects = project.seen(), project.git("count-objects", "-v")
        here = Repository(project.folder)
        state = here.working_tree()
        there = sent(here, [here.state("HEAD"), state], tmp_path)

        assert there.working_tree() == state
        assert files(there.top) == files(alike(here, there, state, tmp_path).folder)
        assert there.top.joinpath("b.txt").stat().st_mode & 0o100
        assert (project.seen(), project.git("count-objects", "-v")) == (before, objects)

    @settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.dictionaries(PATHS, CONTENTS, min_size=1), st.dictionaries(PATHS, CONTENTS))
    def test_any_change(
        self, tmp_path_factory: pytest.TempPathFactory, first: dict[str, bytes], second: dict[str, bytes]
    ) -> None:
        """Files that are folders now, and folders that are files."""
        folder = tmp_path_factory.mktemp("any")
        project = Project.new(folder / "project")
        for content in (first, second):
            for path in project.folder.iterdir():
                if path.name != ".git":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            for name, data in content.items():
                if not any(name.startswith(f"{other}/") for other in content):
                    (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (project.folder / name).write_bytes(data)
            if content is first:
                project.commit({})
        here = Repository(project.folder)
        state = here.working_tree()
        there = sent(here, [state], folder, with_files=True)

        assert files(there.top) == files(project.folder)
        copy = alike(here, there, state, folder)
        assert files(copy.folder) == files(project.folder)


class TestMistakes:
    """A parcel that does not arrive whole."""

    def test_a_broken_pack(self, project: Project, tmp_path: Path) -> None:
        """It is refused in one line."""
        project.commit({"a.txt": "a"})
        here = Repository(project.folder)
        parcel = pack(here, [here.state("HEAD")], tmp_path / "parcel")
        broken = itertools.repeat(bytes(parcel.size))
        with pytest.raises(UsageMistake, match="git index-pack failed"):
            unpack(parcel, broken, tmp_path / "there")
