"""The commit that is measured: as git tells it, else the system that runs the tests, else an archive of git's."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pytest_memperf.environment.files import text
from pytest_memperf.model.run import Commit

TIMEOUT = 20.0
"""Seconds; git status takes about 1 s in the largest repositories."""


class Variables(NamedTuple):
    """The environment variables of a system that runs tests: of the commit, and of the branch, the likeliest first."""

    commit: str
    branch: tuple[str, ...]


# From each system's own list of predefined variables.
SYSTEMS = (
    Variables("GITHUB_SHA", ("GITHUB_HEAD_REF", "GITHUB_REF")),
    Variables("CI_COMMIT_SHA", ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH")),  # GitLab
    Variables("BUILDKITE_COMMIT", ("BUILDKITE_BRANCH",)),
    Variables("CIRCLE_SHA1", ("CIRCLE_BRANCH",)),
    Variables("BUILD_SOURCEVERSION", ("SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH")),  # Azure
    Variables("BITBUCKET_COMMIT", ("BITBUCKET_BRANCH",)),
    Variables("TRAVIS_COMMIT", ("TRAVIS_PULL_REQUEST_BRANCH", "TRAVIS_BRANCH")),
    Variables("DRONE_COMMIT_SHA", ("DRONE_SOURCE_BRANCH", "DRONE_BRANCH")),
    Variables("APPVEYOR_REPO_COMMIT", ("APPVEYOR_PULL_REQUEST_HEAD_REPO_BRANCH", "APPVEYOR_REPO_BRANCH")),
    Variables("GIT_COMMIT", ("CHANGE_BRANCH", "GIT_BRANCH")),  # Jenkins
)
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def commit_of(folder: Path, variables: Mapping[str, str] = os.environ) -> Commit | None:
    """Return the commit that is checked out; None where nothing tells, and before a repository's first one."""
    found, told = _from_git(folder), _from_variables(variables)
    if found is None:
        return told or _from_archive(folder)
    if found.branch is None and told is not None and told.id == found.id:  # these systems detach the head
        return replace(found, branch=told.branch)
    return found


def commit_named(name: str, folder: Path) -> str | None:
    """Return the id of the commit that git knows by a tag, a branch or ``HEAD~1``; None where there is none."""
    if name.startswith("-"):
        return None
    answer = _git(folder, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return answer.strip() if answer and _ID.fullmatch(answer.strip()) else None


@cache  # many metrics change with one commit
def commits_between(first: Commit | None, last: Commit | None, folder: Path) -> int:
    """Return how many commits lie between two, by first parents; 0 where git does not know them."""
    if first is None or last is None:
        return 0
    answer = _git(folder, "rev-list", "--count", "--first-parent", f"{first.id}..{last.id}")
    return max(int(answer) - 1, 0) if answer else 0


def line_of_commits(name: str, folder: Path) -> list[str] | None:
    """Return the commits that lead to the one of this name, first parents only, the oldest first.

    None where git does not know the name, and in a shallow clone, which lacks most of them.
    """
    commit = commit_named(name, folder)
    if commit is None or (_git(folder, "rev-parse", "--is-shallow-repository") or "").strip() != "false":
        return None
    answer = _git(folder, "rev-list", "--first-parent", "--reverse", commit)
    return None if answer is None else answer.split()


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git answers; None without git, outside a repository, and where it refuses."""
    try:
        answer = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.decode(errors="replace")


def _from_git(folder: Path) -> Commit | None:
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    lines = (status or "").splitlines()
    head = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch.") and " " in line[2:])
    name, branch = head.get("branch.oid", "(initial)"), head.get("branch.head")
    if name == "(initial)":
        return None
    changed = any(not line.startswith("#") for line in lines)
    return Commit(name, None if branch == "(detached)" else branch, changed)


def _from_variables(variables: Mapping[str, str]) -> Commit | None:
    for system in SYSTEMS:
        commit = variables.get(system.commit, "")
        if _ID.fullmatch(commit):
            branch = next(filter(None, map(variables.get, system.branch)), "")
            short = re.sub(r"^(refs/heads/|origin/)", "", branch)
            return Commit(commit, short if short and not short.startswith("refs/") else None)  # a tag is no branch
    return None


def _from_archive(folder: Path) -> Commit | None:
    """Read the file that ``git archive`` fills in where a project has one, as setuptools-scm wants it."""
    found = re.search(r"^node: *(\S+)$", text(folder / ".git_archival.txt") or "", re.MULTILINE)
    return Commit(found[1]) if found and _ID.fullmatch(found[1]) else None
