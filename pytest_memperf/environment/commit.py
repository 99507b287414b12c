"""The commit that is measured, as git tells it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pytest_memperf.model.run import Commit

TIMEOUT = 20.0
"""Seconds; git status takes about 1 s in the largest repositories."""


def commit_of(folder: Path) -> Commit | None:
    """Return the commit that is checked out; None without git, outside a repository, and before its first commit."""
    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        answer = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _parse(answer.stdout.decode(errors="replace"))


def _parse(status: str) -> Commit | None:
    lines = status.splitlines()
    head = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch.") and " " in line[2:])
    name, branch = head.get("branch.oid", "(initial)"), head.get("branch.head")
    if name == "(initial)":
        return None
    changed = any(not line.startswith("#") for line in lines)
    return Commit(name, None if branch == "(detached)" else branch, changed)
