"""Small projects to run in turns: repositories made in the test, and interpreters that have a project installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

INSTALL = "cp -r src/mypkg $VIRTUAL_ENV/lib/python3*/site-packages/"
"""Needs no index, and no pip."""
PACKAGE = '''
"""A project."""

import mmap

SIDE = "{side}"


def work(pages={pages}):
    """Write to so many pages of fresh memory."""
    with mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1
'''


class Project:
    """A repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @classmethod
    def new(cls, folder: Path) -> Project:
        """Make one, without a commit."""
        project = cls(folder)
        project.git("init", "--quiet", "--initial-branch=main")
        return project

    def git(self, *words: str) -> str:
        """Return what git says."""
        identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
        command = ["git", *identity, "-c", "protocol.file.allow=always", *words]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, files: dict[str, str]) -> None:
        """Write these files, by their paths."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def commit(self, files: dict[str, str]) -> str:
        """Commit these files and what else has changed, and return the commit."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "a commit")
        return self.git("rev-parse", "HEAD")

    def seen(self) -> tuple[str, ...]:
        """Return all of the repository that a user could notice a change of."""
        asked = (
            ("status", "--porcelain", "--ignored"),
            ("worktree", "list"),
            ("for-each-ref",),
            ("rev-parse", "--symbolic-full-name", "HEAD"),
            ("stash", "list"),
            ("config", "--local", "--list"),
            ("ls-files", "--stage"),
        )
        files = sorted(str(path) for path in (self.folder / ".git").glob("*"))
        return *(self.git(*words) for words in asked), *files


def interpreter(folder: Path, files: dict[str, str]) -> Path:
    """Return an interpreter with these files in its site-packages; it has no pip, and so is made in no time."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    for name, content in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder / "bin" / "python"


def processes(mark: str) -> list[int]:
    """Return the processes that have this text in the environment that they were started in."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
