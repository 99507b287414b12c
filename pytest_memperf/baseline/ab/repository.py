"""The two states of a repository that are compared, and a copy of each; the repository stays as it is."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pytest_memperf.model.errors import UsageMistake

DEFAULT_BRANCHES = ("origin/main", "origin/master", "main", "master")


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
    """The repository that a folder lies in. UsageMistake where there is none."""

    def __init__(self, folder: Path) -> None:
        try:
            top = subprocess.run(
                ["git", "rev-parse", "--show-toplevel"], cwd=folder, capture_output=True, text=True, check=True
            )
        except FileNotFoundError:
            raise UsageMistake("git is not installed: install it, or name the sides by --side") from None
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[:1] or ["git does not say why"]
            mistake = f"{folder} is in no repository ({reason[0]}): go to one, or name the sides by --side"
            raise UsageMistake(mistake) from None
        self.top = Path(top.stdout.strip())

    def state(self, name: str) -> State:
        """Return the commit of this name. UsageMistake where there is none."""
        commit = self._ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if commit is None:
            raise UsageMistake(f"git knows no commit {name!r} here: fetch it, or name another")
        return State(commit, name)

    def working_tree(self) -> State:
        """Return HEAD with what is not committed, files that are not ignored among it."""
        head = self.state("HEAD")
        digest = hashlib.sha256((self._ask("diff", "--binary", "HEAD") or "").encode())
        others = (self._ask("ls-files", "--others", "--exclude-standard", "-z") or "").split("\0")
        for name in filter(None, others):
            digest.update(name.encode())
            digest.update((self.top / name).read_bytes())
        changed = self._ask("status", "--porcelain")
        return State(head.commit, "the working tree" if changed else "HEAD", digest.hexdigest()[:12] if changed else "")

    def chosen(self) -> tuple[State, State]:
        """Return what a run without names compares.

        In the checkout of a pull request, a merge commit, that is its first parent with it; else the commit where
        the branch left the default one, with the working tree.
        """
        head = self.working_tree()
        parents = self._parents(head.commit)
        if len(parents) > 1 and not head.changes:
            return State(self._have(parents[0]), "HEAD^1"), head
        default = self._ask("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
        for name in (default, *DEFAULT_BRANCHES):
            base = self._ask("merge-base", "HEAD", name) if name else None
            if base and (base != head.commit or head.changes):
                return State(base, f"where it left {name}" if base != head.commit else "HEAD"), head
            if base and parents:
                return State(self._have(parents[0]), "HEAD^1"), head
        raise UsageMistake(
            f"no default branch is known here (looked for {', '.join(DEFAULT_BRANCHES)}): name BASE and HEAD"
        )

    def _parents(self, commit: str) -> list[str]:
        """Return the parents, also those that a shallow clone has not got."""
        told = self._ask("cat-file", "commit", commit) or ""
        return [line.split()[1] for line in told.partition("\n\n")[0].splitlines() if line.startswith("parent ")]

    def _have(self, commit: str) -> str:
        """Return a commit that is here, fetched if need be."""
        if self._ask("cat-file", "-e", commit) is None:
            self._ask("fetch", "--quiet", "--depth=1", "--no-write-fetch-head", "origin", commit)
            if self._ask("cat-file", "-e", commit) is None:
                raise UsageMistake(
                    f"this clone is too shallow to have {commit[:12]}: "
                    "clone with fetch-depth: 2 (GitHub) or GIT_DEPTH: 2 (GitLab)"
                )
        return commit

    def copy(self, state: State, target: Path) -> None:
        """Make a copy of the state, with tags and submodules. UsageMistake where git cannot."""
        self._do("clone", "--quiet", "--shared", "--no-checkout", str(self.top), str(target), folder=self.top)
        self._do("checkout", "--quiet", "--detach", state.commit, folder=target)
        if (target / ".gitmodules").exists():
            self._do("submodule", "--quiet", "update", "--init", "--recursive", folder=target)
        if state.changes:
            self._copy_changes(target)

    def _copy_changes(self, target: Path) -> None:
        """Bring the copy of HEAD to the state of the working tree."""
        for command in (("diff", "--name-only", "-z", "HEAD"), ("ls-files", "--others", "--exclude-standard", "-z")):
            for name in filter(None, (self._ask(*command) or "").split("\0")):
                source, copied = self.top / name, target / name
                if not os.path.lexists(source):
                    copied.unlink(missing_ok=True)
                elif not source.is_dir():
                    copied.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(source, copied, follow_symlinks=False)

    def _ask(self, *arguments: str) -> str | None:
        """Return what git answers; None where it refuses."""
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments], cwd=self.top, stdin=subprocess.DEVNULL, capture_output=True
        )
        return done.stdout.decode(errors="surrogateescape").strip() if done.returncode == 0 else None

    def _do(self, *arguments: str, folder: Path) -> None:
        done = subprocess.run(["git", *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            told = done.stderr.strip().splitlines()[-1:] or ["it does not say why"]
            raise UsageMistake(f"git {arguments[0]} failed: {told[0]}")
