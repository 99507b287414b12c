"""The two states of a repository, their copies, and that the repository stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import Project

from pytest_memperf.baseline.ab.repository import TARGETS, Repository, State
from pytest_memperf.model.errors import UsageMistake


def copied(project: Project, state: State, target: Path) -> dict[str, str]:
    """Return the files of a copy with their content, by their paths."""
    Repository(project.folder).copy(state, target)
    files = (path for path in target.rglob("*") if path.is_file() and ".git" not in path.relative_to(target).parts)
    return {str(path.relative_to(target)): path.read_text() for path in files}


class TestState:
    """A commit by its name, and the working tree."""

    def test_a_commit_by_any_name(self, project: Project) -> None:
        """A branch, a tag and a part of the number name the same commit; the name stays in its description."""
        commit = project.commit({"file": "1"})
        project.git("tag", "-a", "v1", "-m", "of its own")
        repository = Repository(project.folder)

        for name in ("main", "v1", commit[:8], "HEAD"):
            state = repository.state(name)
            assert (state.commit, state.described) == (commit, f"{name} ({commit[:12]})")

    @pytest.mark.parametrize("name", ["nowhere", "--all", "HEAD~9", "HEAD:file"])
    def test_no_commit(self, project: Project, name: str) -> None:
        """What names none is a mistake, also where it looks like an option or names a file."""
        project.commit({"file": "1"})

        with pytest.raises(UsageMistake, match="git knows no commit"):
            Repository(project.folder).state(name)

    def test_the_folder_may_lie_deep(self, project: Project) -> None:
        """The repository is found from any folder in it."""
        project.commit({"deep/down/file": "1"})

        assert Repository(project.folder / "deep" / "down").top == project.folder

    def test_no_repository(self, tmp_path: Path) -> None:
        """The folder is named, and the other way to give sides."""
        with pytest.raises(UsageMistake, match=f"{tmp_path} is in no repository .*--side"):
            Repository(tmp_path)

    def test_no_git(self, project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Without git it says so."""
        monkeypatch.setenv("PATH", str(tmp_path))

        with pytest.raises(UsageMistake, match="git is not installed"):
            Repository(project.folder)


class TestWorkingTree:
    """What is not committed."""

    def test_nothing_changed(self, project: Project) -> None:
        """It is HEAD, and has its key."""
        project.commit({"file": "1", ".gitignore": "*.log"})
        project.write({"a.log": "ignored"})
        repository = Repository(project.folder)

        assert repository.working_tree() == repository.state("HEAD")

    @pytest.mark.parametrize(
        "change",
        [
            {"file": "2"},
            {"new": "1"},
            {"deep/new": "1"},
            {" led by a blank": "1"},
            {"é\n": "1"},
        ],
        ids=["changed", "new", "in a new folder", "blank", "odd name"],
    )
    def test_each_change_makes_another_state(self, project: Project, change: dict[str, str]) -> None:
        """Content and names tell two of them apart, and the same change is the same state."""
        project.commit({"file": "1"})
        repository = Repository(project.folder)
        clean = repository.working_tree()
        project.write(change)
        one = repository.working_tree()
        again = repository.working_tree()
        project.write(dict.fromkeys(change, "other"))
        other = repository.working_tree()

        assert one == again
        assert len({clean.key, one.key, other.key}) == 3
        assert one.described == f"the working tree ({one.commit[:12]} and changes)"

    def test_the_copy_has_every_change(self, project: Project, tmp_path: Path) -> None:
        """Changed, new, staged, deleted and renamed files are as they are in the tree; ignored ones stay away."""
        files = ("kept", "changed", "staged", "deleted", "removed", "former")
        project.commit({name: f"{name} in all its length\n" for name in files} | {".gitignore": "*.log\n"})
        project.write({"changed": "2", "staged": "2", "new/one": "1", " blank": "1", "a.log": "ignored"})
        project.git("add", "staged")
        (project.folder / "deleted").unlink()
        project.git("rm", "--quiet", "removed")
        project.git("mv", "former", "renamed")
        found = copied(project, Repository(project.folder).working_tree(), tmp_path / "copy")

        assert sorted(found) == [" blank", ".gitignore", "changed", "kept", "new/one", "renamed", "staged"]
        assert (found["changed"], found["staged"], found["new/one"]) == ("2", "2", "1")

    def test_links_and_foreign_repositories(self, project: Project, tmp_path: Path) -> None:
        """A link is copied as one, also where it leads nowhere; a repository among the files is none of them."""
        project.commit({"file": "1"})
        (project.folder / "link").symlink_to("nowhere")
        Project.new(project.folder / "foreign").commit({"file": "1"})
        Repository(project.folder).copy(Repository(project.folder).working_tree(), tmp_path / "copy")

        assert (tmp_path / "copy" / "link").readlink() == Path("nowhere")
        assert not (tmp_path / "copy" / "foreign").exists()

    def test_a_file_that_became_executable(self, project: Project, tmp_path: Path) -> None:
        """The permission is part of the state, and of its copy."""
        project.commit({"file": "1"})
        repository = Repository(project.folder)
        before = repository.working_tree()
        (project.folder / "file").chmod(0o755)
        after = repository.working_tree()
        repository.copy(after, tmp_path / "copy")

        assert before.key != after.key
        assert (tmp_path / "copy" / "file").stat().st_mode & 0o111


class TestChosen:
    """What a run without names compares."""

    def test_a_merge_commit(self, project: Project) -> None:
        """A pull request's checkout is compared with its first parent, the branch that it goes to."""
        project.commit({"file": "1"})
        project.git("checkout", "--quiet", "-b", "topic")
        project.commit({"other": "1"})
        project.git("checkout", "--quiet", "main")
        target = project.commit({"file": "2"})
        project.git("merge", "--quiet", "--no-ff", "--no-edit", "topic")
        base, head = Repository(project.folder).chosen()

        assert (base.commit, base.name) == (target, "HEAD^1")
        assert head == Repository(project.folder).state("HEAD")

    def test_a_branch(self, project: Project) -> None:
        """It is compared with the commit where it left the default branch, which has gone on since."""
        left = project.commit({"file": "1"})
        project.git("checkout", "--quiet", "-b", "topic")
        project.commit({"other": "1"})
        tip = project.commit({"other": "2"})
        project.git("checkout", "--quiet", "main")
        project.commit({"file": "2"})
        project.git("checkout", "--quiet", "topic")
        base, head = Repository(project.folder).chosen()

        assert (base.commit, base.name) == (left, "where it left main")
        assert head.commit == tip

    def test_the_default_branch_is_what_the_origin_says(self, project: Project, tmp_path: Path) -> None:
        """One of another name, and what was pushed of it rather than a branch here."""
        left = project.commit({"file": "1"})
        project.git("branch", "-m", "trunk")
        clone = Project(tmp_path / "clone")
        clone.git("clone", "--quiet", str(project.folder), ".")
        clone.commit({"file": "2"})
        base, _ = Repository(clone.folder).chosen()

        assert (base.commit, base.name) == (left, "where it left origin/trunk")

    def test_on_the_default_branch(self, project: Project) -> None:
        """Its last commit is compared with the one before."""
        first = project.commit({"file": "1"})
        second = project.commit({"file": "2"})
        base, head = Repository(project.folder).chosen()

        assert (base.commit, base.name, head.commit) == (first, "HEAD^1", second)

    def test_changes_on_the_default_branch(self, project: Project) -> None:
        """What is not committed is compared with HEAD."""
        project.commit({"file": "1"})
        second = project.commit({"file": "2"})
        project.write({"file": "3"})
        base, head = Repository(project.folder).chosen()

        assert (base.commit, base.name) == (second, "HEAD")
        assert head.changes

    def test_changes_on_top_of_a_merge(self, project: Project) -> None:
        """They are compared with where the branch stood: that is no pull request's checkout."""
        project.commit({"file": "1"})
        project.git("checkout", "--quiet", "-b", "topic")
        project.commit({"other": "1"})
        project.git("checkout", "--quiet", "main")
        project.git("merge", "--quiet", "--no-ff", "--no-edit", "topic")
        merge = project.git("rev-parse", "HEAD")
        project.write({"file": "2"})
        base, _ = Repository(project.folder).chosen()

        assert base.commit == merge

    def test_a_branch_that_took_the_default_one_in(self, project: Project) -> None:
        """Its last commit is a merge, and no pull request's checkout: all of the branch is compared."""
        project.commit({"file": "1"})
        project.git("checkout", "--quiet", "-b", "topic")
        project.commit({"other": "1"})
        project.git("checkout", "--quiet", "main")
        target = project.commit({"file": "2"})
        project.git("checkout", "--quiet", "topic")
        project.git("merge", "--quiet", "--no-edit", "main")
        base, _ = Repository(project.folder).chosen()

        assert (base.commit, base.name) == (target, "where it left main")

    def test_no_default_branch(self, project: Project) -> None:
        """It says where it looked, and to name the states."""
        project.commit({"file": "1"})
        project.git("branch", "-m", "other")

        with pytest.raises(UsageMistake, match=r"no default branch is known .*origin/main.*name BASE and HEAD"):
            Repository(project.folder).chosen()

    def test_a_single_commit(self, project: Project) -> None:
        """There is nothing to compare it with, which is a mistake and no crash."""
        project.commit({"file": "1"})

        with pytest.raises(UsageMistake, match="name BASE and HEAD"):
            Repository(project.folder).chosen()


class TestSystems:
    """Checkouts as systems make them that run tests, each by the commands of its own, with the variables that it sets.

    The topic branch goes to a branch that is not the default one, and has taken it in at its end; both went on since.
    """

    @pytest.fixture
    def origin(self, project: Project) -> Project:
        """Return the repository of a pull request."""
        project.commit({"file": "0"})
        project.git("checkout", "--quiet", "-b", "release")
        project.commit({"file": "1"})
        project.git("checkout", "--quiet", "-b", "topic")
        project.commit({"other": "1"})
        project.git("checkout", "--quiet", "release")
        project.commit({"file": "2"})
        project.git("checkout", "--quiet", "topic")
        project.git("merge", "--quiet", "--no-edit", "release")
        project.git("checkout", "--quiet", "release")
        project.commit({"file": "3"})
        project.git("checkout", "--quiet", "--detach")
        project.git("merge", "--quiet", "--no-ff", "--no-edit", "topic")
        project.git("update-ref", "refs/pull/7/head", "topic")
        project.git("update-ref", "refs/pull/7/merge", "HEAD")
        project.git("update-ref", "refs/merge-requests/7/head", "topic")
        project.git("update-ref", "refs/merge-requests/7/merge", "HEAD")
        project.git("checkout", "--quiet", "main")
        project.commit({"file": "4"})
        return project

    @pytest.fixture
    def clone(self, origin: Project, tmp_path: Path) -> Project:
        """Return an empty repository whose origin it is."""
        clone = Project.new(tmp_path / "clone")
        clone.git("remote", "add", "origin", f"file://{origin.folder}")
        return clone

    def chosen(self, clone: Project, **variables: str) -> tuple[str, str]:
        """Return what is compared with what is checked out, which stays as it is, and why it was chosen."""
        clone.write({"left_over": "by another step of the job"})
        commit, before = clone.git("rev-parse", "HEAD"), clone.seen()
        repository = Repository(clone.folder)
        variables = {name: value.replace("HEAD", commit) for name, value in variables.items()}
        base, head = repository.chosen({**dict.fromkeys(TARGETS.values(), str(clone.folder)), **variables})
        assert head == State(commit, "HEAD")
        assert clone.seen() == before
        assert clone.git("cat-file", "-t", base.commit) == "commit"
        return base.commit, base.name

    def test_github(self, origin: Project, clone: Project) -> None:
        """actions/checkout as it is: the merge commit, of depth 1."""
        clone.git(
            "fetch", "--quiet", "--no-tags", "--depth=1", "origin", "+refs/pull/7/merge:refs/remotes/pull/7/merge"
        )
        clone.git("checkout", "--quiet", "--force", "refs/remotes/pull/7/merge")

        found = self.chosen(clone, GITHUB_SHA="HEAD", GITHUB_BASE_REF="release")
        assert found == (origin.git("rev-parse", "release"), "HEAD^1")

    def test_github_with_the_head_of_the_branch(self, origin: Project, clone: Project) -> None:
        """With ``ref: head.sha`` and ``fetch-depth: 0``: the last commit is a merge of the branch's own."""
        clone.git("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
        clone.git("checkout", "--quiet", "--force", origin.git("rev-parse", "topic"))

        found = self.chosen(clone, GITHUB_SHA=origin.git("rev-parse", "refs/pull/7/merge"), GITHUB_BASE_REF="release")
        assert found == (origin.git("rev-parse", "release^"), "where it left release")

    def test_github_after_a_push(self, origin: Project, clone: Project) -> None:
        """The default branch, of depth 1: the last commit with the one before."""
        commit = origin.git("rev-parse", "main")
        clone.git("fetch", "--quiet", "--no-tags", "--depth=1", "origin", f"+{commit}:refs/remotes/origin/main")
        clone.git("checkout", "--quiet", "--force", "-B", "main", "refs/remotes/origin/main")

        assert self.chosen(clone, GITHUB_SHA="HEAD", GITHUB_BASE_REF="") == (origin.git("rev-parse", "main^"), "HEAD^1")

    def test_gitlab(self, origin: Project, clone: Project) -> None:
        """A merge request's pipeline has the source branch, and the commit where it left the target by name."""
        clone.git(
            "fetch", "--quiet", "--no-tags", "--depth=1", "origin", "+refs/merge-requests/7/head:refs/pipelines/1"
        )
        clone.git("checkout", "--quiet", "--force", "refs/pipelines/1")
        base = origin.git("merge-base", "topic", "release")

        found = self.chosen(
            clone,
            CI_COMMIT_SHA="HEAD",
            CI_MERGE_REQUEST_DIFF_BASE_SHA=base,
            CI_MERGE_REQUEST_TARGET_BRANCH_SHA="",
            CI_MERGE_REQUEST_TARGET_BRANCH_NAME="release",
        )
        assert found == (base, "where it left release")

    def test_gitlab_with_merged_results(self, origin: Project, clone: Project) -> None:
        """The pipeline has the merge commit, and the target's commit by name."""
        clone.git(
            "fetch", "--quiet", "--no-tags", "--depth=1", "origin", "+refs/merge-requests/7/merge:refs/pipelines/1"
        )
        clone.git("checkout", "--quiet", "--force", "refs/pipelines/1")
        target = origin.git("rev-parse", "release")

        found = self.chosen(
            clone,
            CI_COMMIT_SHA="HEAD",
            CI_MERGE_REQUEST_DIFF_BASE_SHA=origin.git("merge-base", "topic", "release"),
            CI_MERGE_REQUEST_TARGET_BRANCH_SHA=target,
            CI_MERGE_REQUEST_TARGET_BRANCH_NAME="release",
        )
        assert found == (target, "where it left release")

    def test_gitlab_in_another_repository(self, origin: Project, clone: Project) -> None:
        """One that a job has cloned: the variables are not about it."""
        clone.git("fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*")
        clone.git("checkout", "--quiet", "-b", "topic", "origin/topic")

        base, head = Repository(clone.folder).chosen(
            {"CI_COMMIT_SHA": "1" * 40, "CI_MERGE_REQUEST_DIFF_BASE_SHA": "2" * 40}
        )
        assert (base.commit, base.name) == (origin.git("merge-base", "topic", "main"), "where it left origin/main")
        assert head.commit == origin.git("rev-parse", "topic")

    def test_jenkins(self, origin: Project, clone: Project) -> None:
        """A multibranch job merges the target into the pull request: the first parent is the pull request's own."""
        references = ("+refs/pull/7/head:refs/remotes/origin/PR-7", "+refs/heads/release:refs/remotes/origin/release")
        clone.git("fetch", "--quiet", "--no-tags", "origin", *references)
        clone.git("checkout", "--quiet", "--force", "refs/remotes/origin/PR-7")
        clone.git("merge", "--quiet", "--no-edit", origin.git("rev-parse", "release"))

        found = self.chosen(clone, CHANGE_TARGET="release", CHANGE_ID="7", GIT_COMMIT="HEAD")
        assert found == (origin.git("rev-parse", "release"), "where it left release")

    def test_jenkins_without_the_target(self, origin: Project, clone: Project) -> None:
        """Of the pull request's own revision, whose job has nothing else: the target is fetched."""
        clone.git("fetch", "--quiet", "--no-tags", "origin", "+refs/pull/7/head:refs/remotes/origin/PR-7")
        clone.git("checkout", "--quiet", "--force", "refs/remotes/origin/PR-7")

        found = self.chosen(clone, CHANGE_TARGET="release", CHANGE_ID="7", GIT_COMMIT="HEAD")
        assert found == (origin.git("rev-parse", "release^"), "where it left release")

    @pytest.mark.parametrize("variable", TARGETS)
    def test_a_target_that_cannot_be_had(self, origin: Project, clone: Project, variable: str) -> None:
        """The setting is named: the first parent of a merge by Jenkins, or by the author, would be the wrong base."""
        clone.git("fetch", "--quiet", "--no-tags", "--depth=2", "origin", "+refs/pull/7/head:refs/remotes/origin/PR-7")
        clone.git("checkout", "--quiet", "--force", "refs/remotes/origin/PR-7")

        with pytest.raises(UsageMistake, match=r"left release: clone with fetch-depth: 0 .*Jenkins.*BASE and HEAD$"):
            self.chosen(clone, **{variable: "release"})

    @pytest.mark.parametrize("variable", TARGETS)
    def test_a_repository_elsewhere(self, project: Project, tmp_path: Path, variable: str) -> None:
        """Such as one that a test has made: the variables of the job are not about it."""
        left = project.commit({"file": "1"})
        project.git("checkout", "--quiet", "-b", "topic")
        project.commit({"file": "2"})
        variables = {variable: "release", TARGETS[variable]: str(tmp_path / "checkout")}

        assert Repository(project.folder).chosen(variables)[0].commit == left


class TestShallow:
    """Clones as CI makes them, of the last commit alone."""

    @pytest.fixture
    def clone(self, project: Project, tmp_path: Path) -> Project:
        """Return a clone without the parents of its commit, which is a merge."""
        project.commit({"file": "1"})
        project.git("tag", "v1")
        project.git("checkout", "--quiet", "-b", "topic")
        project.commit({"other": "1"})
        project.git("checkout", "--quiet", "main")
        project.commit({"file": "2"})
        project.git("merge", "--quiet", "--no-ff", "--no-edit", "topic")
        clone = Project(tmp_path / "clone")
        clone.git("clone", "--quiet", "--depth=1", f"file://{project.folder}", ".")
        return clone

    def test_fetches_the_one_commit(self, project: Project, clone: Project, tmp_path: Path) -> None:
        """The first parent is fetched and can be copied; no reference and no other commit comes along."""
        before = clone.seen()
        repository = Repository(clone.folder)
        base, head = repository.chosen()

        assert base.commit == project.git("rev-parse", "HEAD^1")
        assert copied(clone, base, tmp_path / "base") == {"file": "2"}
        assert copied(clone, head, tmp_path / "head") == {"file": "2", "other": "1"}
        assert clone.seen() == before
        with pytest.raises(UsageMistake):
            repository.state("HEAD^1^1")

    def test_names_the_setting(self, project: Project, clone: Project) -> None:
        """Where the origin is gone, it says how to clone."""
        project.folder.rename(project.folder.with_name("elsewhere"))

        with pytest.raises(UsageMistake, match=r"fetch-depth: 2 .*GIT_DEPTH: 0"):
            Repository(clone.folder).chosen()

    def test_a_branch_that_is_cut_off(self, project: Project, clone: Project, tmp_path: Path) -> None:
        """Where it left the default branch is not there to be seen: the setting is named."""
        shallow = Project(tmp_path / "topic")
        shallow.git("clone", "--quiet", "--depth=1", "--branch=topic", f"file://{project.folder}", ".")

        with pytest.raises(UsageMistake, match="fetch-depth: 0"):
            Repository(shallow.folder).chosen()


class TestCopy:
    """A copy of a state."""

    def test_an_older_commit(self, project: Project, tmp_path: Path) -> None:
        """It has the files of that commit, whatever is in the working tree."""
        old = project.commit({"file": "1"})
        project.commit({"file": "2", "new": "1"})
        project.write({"file": "3"})

        assert copied(project, Repository(project.folder).state(old), tmp_path / "copy") == {"file": "1"}

    def test_tags_come_along(self, project: Project, tmp_path: Path) -> None:
        """A version that is made from the nearest tag is that of the commit."""
        project.commit({"file": "1"})
        project.git("tag", "-a", "v1.2", "-m", "of its own")
        commit = project.commit({"file": "2"})
        Repository(project.folder).copy(Repository(project.folder).state("HEAD"), tmp_path / "copy")

        assert Project(tmp_path / "copy").git("describe") == f"v1.2-1-g{commit[:7]}"

    @pytest.fixture
    def with_submodules(self, project: Project, tmp_path: Path) -> Project:
        """Return a repository with a submodule that has one itself, each at a commit that is not its last."""
        inner, outer = Project.new(tmp_path / "inner"), Project.new(tmp_path / "outer")
        inner.commit({"innermost": "1"})
        outer.commit({"file": "1"})
        outer.git("submodule", "--quiet", "add", "../inner", "in")
        outer.commit({})
        project.commit({"file": "1"})
        project.git("remote", "add", "origin", str(tmp_path / "origin of the project"))
        project.git("submodule", "--quiet", "add", "../outer", "sub")
        project.git("submodule", "--quiet", "update", "--init", "--recursive")
        project.commit({})
        outer.commit({"file": "2"})
        return project

    @pytest.mark.parametrize("reachable", [True, False], ids=["origin there", "origin gone"])
    def test_submodules_come_along(self, with_submodules: Project, tmp_path: Path, reachable: bool) -> None:
        """They are at the commits of the state, and need no network where the repository has them."""
        if not reachable:
            (tmp_path / "inner").rename(tmp_path / "inner elsewhere")
            (tmp_path / "outer").rename(tmp_path / "outer elsewhere")
        before = with_submodules.seen()
        found = copied(with_submodules, Repository(with_submodules.folder).state("HEAD"), tmp_path / "copy")

        assert {"sub/file": "1", "sub/in/innermost": "1"}.items() <= found.items()
        assert with_submodules.seen() == before

    def test_changes_in_submodules_come_along(self, with_submodules: Project, tmp_path: Path) -> None:
        """What is checked out in them, changed, new and gone there; what they hold at HEAD is no other state."""
        repository = Repository(with_submodules.folder)
        clean = repository.working_tree()
        outer = Project(with_submodules.folder / "sub")
        outer.git("fetch", "--quiet")
        outer.git("checkout", "--quiet", "origin/main")
        moved = repository.working_tree()
        outer.write({"new": "3", "in/innermost": "changed"})
        changed = repository.working_tree()
        with_submodules.git("config", "diff.ignoreSubmodules", "all")
        assert repository.working_tree() == changed
        before = with_submodules.seen()
        found = copied(with_submodules, changed, tmp_path / "copy")

        assert not clean.changes
        assert len({clean.key, moved.key, changed.key}) == 3
        assert found == {**found, "sub/file": "2", "sub/new": "3", "sub/in/innermost": "changed", "file": "1"}
        assert with_submodules.seen() == before

    def test_a_submodule_that_is_new_or_gone(self, with_submodules: Project, tmp_path: Path) -> None:
        """The working tree has it, or has it no more; a repository that git knows nothing of is left out."""
        with_submodules.git("submodule", "--quiet", "add", "../inner", "another")
        with_submodules.git("rm", "--quiet", "-r", "sub")
        Project.new(with_submodules.folder / "unknown").commit({"file": "4"})
        found = copied(with_submodules, Repository(with_submodules.folder).working_tree(), tmp_path / "copy")

        assert found.keys() == {".gitmodules", "file", "another/innermost"}

    def test_a_submodule_that_cannot_be_had(self, with_submodules: Project, tmp_path: Path) -> None:
        """Git's reason is told in one line."""
        (tmp_path / "outer").rename(tmp_path / "outer elsewhere")
        clone = Project(tmp_path / "clone")
        clone.git("clone", "--quiet", str(with_submodules.folder), ".")
        repository = Repository(clone.folder)

        with pytest.raises(UsageMistake, match=r"^git submodule failed: .*$"):
            repository.copy(repository.state("HEAD"), tmp_path / "copy")

    def test_a_worktree_of_the_user(self, project: Project, tmp_path: Path) -> None:
        """A folder that git worktree made is a repository as any other."""
        project.commit({"file": "1"})
        project.git("worktree", "add", "--quiet", str(tmp_path / "tree"))
        tree = Project(tmp_path / "tree")
        commit = tree.commit({"file": "2"})
        tree.write({"file": "3"})

        assert copied(tree, Repository(tree.folder).state(commit), tmp_path / "commit") == {"file": "2"}
        assert copied(tree, Repository(tree.folder).working_tree(), tmp_path / "changes") == {"file": "3"}

    @pytest.mark.parametrize("changed", [False, True], ids=["clean", "with changes"])
    def test_the_repository_stays_as_it_is(self, project: Project, tmp_path: Path, changed: bool) -> None:
        """Status, index, worktrees, references, stashes and settings are what they were."""
        project.commit({"file": "1"})
        project.commit({"file": "2"})
        if changed:
            project.write({"file": "3", "new": "1"})
        before = project.seen()
        repository = Repository(project.folder)
        for number, state in enumerate(repository.chosen()):
            repository.copy(state, tmp_path / str(number))

        assert project.seen() == before

    def test_in_a_hook(self, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variables that git sets for hooks do not turn the work on a copy against the repository itself."""
        old = project.commit({"file": "1"})
        project.commit({"file": "2"})
        before = project.seen()
        with monkeypatch.context() as patch:
            patch.setenv("GIT_DIR", str(project.folder / ".git"))
            patch.setenv("GIT_INDEX_FILE", str(project.folder / ".git" / "index"))
            patch.setenv("GIT_WORK_TREE", str(project.folder))
            found = copied(project, Repository(project.folder).state(old), tmp_path / "copy")

        assert found == {"file": "1"}
        assert project.seen() == before
