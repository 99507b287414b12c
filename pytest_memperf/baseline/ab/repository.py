"""The two states of a repository that are compared, and a copy of each; the repository stays as it is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_memperf.environment.commit import SYSTEMS
from pytest_memperf.model.errors import UsageMistake

DEFAULT_BRANCHES = ("origin/main", "origin/master", "main", "master")
TARGETS = {
    "GITHUB_BASE_REF": "GITHUB_WORKSPACE",
    "CHANGE_TARGET": "WORKSPACE",  # Jenkins
}
"""Variables that name the branch which a pull request goes to, and those that name the folder of the job's checkout."""
_POINTING_ELSEWHERE = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE",
)  # fmt: skip
"""Variables that git sets for hooks: with them, what is meant for a copy would happen to the user's repository."""


def without_git_variables() -> dict[str, str]:
    """Return this process's environment, in which git finds the repository that it stands in."""
    return {name: value for name, value in os.environ.items() if name not in _POINTING_ELSEWHERE}


def git(
    *arguments: str, folder: Path, variables: Mapping[str, str] | None = None, told: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder.

    Args:
        variables: those that it has besides.
        told: its standard input.
    """
    return subprocess.run(
        ["git", *arguments],
        cwd=folder, env={**without_git_variables(), **(variables or {})}, input=told, capture_output=True,
    )  # fmt: skip


def git_done(*arguments: str, folder: Path, variables: Mapping[str, str] | None = None, told: bytes = b"") -> bytes:
    """Run git, and return what it says. UsageMistake with its last line where it fails."""
    done = git(*arguments, folder=folder, variables=variables, told=told)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it does not say why"]
        raise UsageMistake(f"git {arguments[0]} failed: {said[0]}")
    return done.stdout


def submodules(*file: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and path of each submodule.

    Args:
        file: which of git's forms of a .gitmodules is read, in the words of ``git config``.
    """
    told = git("config", "-z", *file, "--get-regexp", r"^submodule\..*\.path$", folder=folder)
    for entry in filter(None, told.stdout.decode(errors="surrogateescape").split("\0")):
        key, _, path = entry.partition("\n")
        yield key.removeprefix("submodule.").removesuffix(".path"), path


def is_submodule(path: Path) -> bool:
    """Tell whether what git calls changed is the folder of a submodule: it may stand where a file was, too."""
    return (path / ".git").exists()


@dataclass(frozen=True, slots=True)
class State:
    """A commit, or the working tree with its changes."""

    commit: str
    name: str
    """As the user gave it, or why it was chosen."""
    changes: str = ""
    """A digest of what is not committed; empty where all is."""

    @property
    def described(self) -> str:
        """The state in words."""
        return f"{self.name} ({self.commit[:12]}{' and changes' if self.changes else ''})"

    @property
    def key(self) -> str:
        """What no other state has."""
        return f"{self.commit} {self.changes}"


class Repository:
    """The repository that a folder lies in. UsageMistake where there is none.

    Args:
        called: what environments of its states are kept under, where that is not its own path: it is a passing copy.
    """

    def __init__(self, folder: Path, called: str = "") -> None:
        try:
            top = subprocess.run(
                ["git", "rev-parse", "--show-toplevel"],
                cwd=folder, env=without_git_variables(), capture_output=True, text=True, check=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise UsageMistake("git is not installed: install it, or name the sides by --side") from None
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[:1] or ["git does not say why"]
            mistake = f"{folder} is in no repository ({reason[0]}): go to one, or name the sides by --side"
            raise UsageMistake(mistake) from None
        self.top = Path(top.stdout.strip())
        self.called = called or str(self.top)

    def state(self, name: str) -> State:
        """Return the commit of this name. UsageMistake where there is none."""
        commit = self._ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if commit is None:
            raise UsageMistake(f"git knows no commit {name!r} here: fetch it, or name another")
        return State(commit, name)

    def working_tree(self) -> State:
        """Return HEAD with what is not committed, files that are not ignored among it."""
        head = self.state("HEAD")
        digest = hashlib.sha256()
        for name in self.changed():
            path = self.top / name
            digest.update(os.fsencode(f"{name}\0"))
            if path.is_symlink():
                digest.update(os.fsencode(path.readlink()))
            elif is_submodule(path):
                digest.update(Repository(path).working_tree().key.encode())
            elif path.is_file():
                digest.update(b"%o\0" % (path.stat().st_mode & 0o777) + path.read_bytes())
            digest.update(b"\0")
        changed = self._ask("status", "--porcelain", "--ignore-submodules=none")
        return State(head.commit, "the working tree" if changed else "HEAD", digest.hexdigest()[:12] if changed else "")

    def chosen(self, variables: Mapping[str, str] = os.environ) -> tuple[State, State]:
        """Return what a run without names compares.

        In the checkout of a pull request that is the commit which it would be merged into, or where its branch left
        the target, with the commit that is checked out; else the commit where the branch left the default one, with
        the working tree.
        """
        head = self.state("HEAD")
        parents = self._parents(head.commit)
        told = self._told(head.commit, parents, variables)
        if told:
            return told, head
        if head.commit not in [variables.get(system.commit) for system in SYSTEMS]:
            head = self.working_tree()  # which else has what the job's other steps left there
        merge = len(parents) > 1 and not head.changes
        if merge and self._ask("symbolic-ref", "--quiet", "HEAD") is None:  # checked out for its own sake
            return State(self._have(parents[0]), "HEAD^1"), head
        default = self._ask("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
        for name in (default, *DEFAULT_BRANCHES):
            base = self._ask("merge-base", "HEAD", name) if name else None
            if base and (base != head.commit or head.changes):
                return State(base, f"where it left {name}" if base != head.commit else "HEAD"), head
            if base and parents:
                return State(self._have(parents[0]), "HEAD^1"), head
        if merge:
            return State(self._have(parents[0]), "HEAD^1"), head
        if self._shallow:
            raise UsageMistake(
                "this clone is too shallow to tell where the branch left the default one: "
                "clone with fetch-depth: 0 (GitHub) or GIT_DEPTH: 0 (GitLab), or name BASE and HEAD"
            )
        raise UsageMistake(
            f"no default branch is known here (looked for {', '.join(DEFAULT_BRANCHES)}): name BASE and HEAD"
        )

    def _told(self, head: str, parents: list[str], variables: Mapping[str, str]) -> State | None:
        """Return the base of the pull request that a system has checked out; None where this is none."""
        if variables.get("CI_COMMIT_SHA") == head:  # GitLab; the first one is of merged results
            called = variables.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "the target branch")
            for name in ("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", "CI_MERGE_REQUEST_DIFF_BASE_SHA"):
                if variables.get(name):
                    return State(self._have(variables[name]), f"where it left {called}")
        for branch, workspace in TARGETS.items():
            folder, target = variables.get(workspace), variables.get(branch)
            if target and folder and self.top.is_relative_to(os.path.realpath(folder)):
                if variables.get("GITHUB_SHA") == head and len(parents) > 1:
                    return State(self._have(parents[0]), "HEAD^1")
                return State(self._left(head, target), f"where it left {target}")
        return None

    def _left(self, head: str, target: str) -> str:
        """Return the commit where a pull request left its target. UsageMistake where this clone does not tell.

        Its first parent would be wrong: Jenkins merges the target into the pull request, as its author may have done.
        """
        tip = self._tip(target)
        base = self._ask("merge-base", head, tip) if tip else None
        if base is None:
            raise UsageMistake(
                f"this clone does not tell where the pull request left {target}: clone with fetch-depth: 0 (GitHub), "
                f"or fetch {target} too, and not shallow (Jenkins), or name BASE and HEAD"
            )
        return base

    def _tip(self, branch: str) -> str | None:
        """Return the last commit of a branch of origin, which is fetched if need be; None where there is none."""
        here = self._ask("rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{branch}^{{commit}}")
        if here or self._shallow:
            return here
        reference = f"refs/heads/{branch}"
        listed = self._ask("ls-remote", "--quiet", "origin", reference)
        self._ask("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "origin", reference)
        return listed.split()[0] if listed else None

    @property
    def _shallow(self) -> bool:
        return self._ask("rev-parse", "--is-shallow-repository") == "true"

    def _parents(self, commit: str) -> list[str]:
        """Return the parents, also those that a shallow clone has not got."""
        told = self._ask("cat-file", "commit", commit) or ""
        return [line.split()[1] for line in told.partition("\n\n")[0].splitlines() if line.startswith("parent ")]

    def _have(self, commit: str) -> str:
        """Return a commit that is here, fetched if need be."""
        if self._ask("cat-file", "-e", commit) is None:
            depth = ["--depth=1"] if self._shallow else []  # which would make a whole one shallow
            self._ask("fetch", "--quiet", *depth, "--no-tags", "--no-write-fetch-head", "origin", commit)
            if self._ask("cat-file", "-e", commit) is None:
                raise UsageMistake(
                    f"this clone is too shallow to have {commit[:12]}: "
                    "clone with fetch-depth: 2 (GitHub) or GIT_DEPTH: 0 (GitLab)"
                )
        return commit

    @property
    def kept(self) -> Path:
        """The folder in which git keeps the repository."""
        return Path(self._ask("rev-parse", "--path-format=absolute", "--git-common-dir") or self.top / ".git")

    @property
    def origin(self) -> str | None:
        """The address that the repository was cloned from."""
        return self._ask("config", "--get", "remote.origin.url")

    def has(self, path: Path) -> bool:
        """Tell whether the working tree has a file as a state of it would: one that git does not ignore."""
        listed = self._ask("ls-files", "--cached", "--others", "--exclude-standard", "--", str(path.resolve()))
        return bool(listed)

    def copy(self, state: State, target: Path) -> None:
        """Make a copy of the state, with tags and submodules. UsageMistake where git cannot."""
        git_done("clone", "--quiet", "--shared", "--no-checkout", str(self.top), str(target), folder=self.top)
        kept = self.kept
        if (kept / "shallow").exists():  # then git has copied what the branches reach, and shares nothing
            (target / ".git/objects/info/alternates").write_text(f"{kept / 'objects'}\n")
            shutil.copy(kept / "shallow", target / ".git/shallow")
        git_done("checkout", "--quiet", "--detach", state.commit, folder=target)
        origin = self.origin
        if origin:  # what the addresses of submodules may be relative to
            git_done("config", "remote.origin.url", origin, folder=target)
        self.copy_submodules(kept, target)
        if state.changes:
            self._copy_changes(target)

    def copy_submodules(self, kept: Path, target: Path) -> None:
        """Check out the submodules of a copy, from what the user's repository has of them or else from their origin.

        Args:
            kept: the git folder of the repository that was copied.
        """
        if not (target / ".gitmodules").exists():
            return
        for name, path in submodules("-f", ".gitmodules", folder=target):
            here = kept / "modules" / name
            update = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", "--", path)
            if here.exists():
                local = (f"submodule.{name}.url", str(here))
                if git("-c", "=".join(local), *update, folder=target).returncode == 0:
                    self.copy_submodules(here, target / path)
                    continue
            git_done("submodule", "--quiet", "update", "--init", "--recursive", "--", path, folder=target)

    def _copy_changes(self, target: Path) -> None:
        """Bring the copy of HEAD to the state of the working tree."""
        changed = self.changed()
        for name in changed:  # all first: a file may stand now where a folder was
            copied = target / name
            if copied.is_symlink() or copied.is_file():
                copied.unlink()
                with contextlib.suppress(OSError):
                    os.removedirs(copied.parent)
            elif copied.is_dir():
                shutil.rmtree(copied)
        for name in changed:
            source, copied = self.top / name, target / name
            if source.is_symlink() or source.is_file():
                copied.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copied, follow_symlinks=False)
            elif is_submodule(source):
                submodule = Repository(source)
                submodule.copy(submodule.working_tree(), copied)

    def changed(self) -> list[str]:
        """Return what differs from HEAD in the working tree, also what is gone, and what git does not know yet.

        A repository that git does not know is no submodule, and no part of this one.
        """
        # A renamed file would be told by its new name alone.
        commands = (
            ("diff", "--no-renames", "--name-only", "--ignore-submodules=none", "-z", "HEAD"),
            ("ls-files", "--others", "--exclude-standard", "-z"),
        )
        named = {name for command in commands for name in (self._ask(*command) or "").split("\0")}
        return sorted(name for name in named if name and not name.endswith("/"))

    def _ask(self, *arguments: str) -> str | None:
        """Return what git answers; None where it refuses."""
        done = git("--no-optional-locks", *arguments, folder=self.top)
        return done.stdout.decode(errors="surrogateescape").rstrip("\n") if done.returncode == 0 else None
