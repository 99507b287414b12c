"""HEAD's tests for both sides, in a place from which the project itself cannot be imported."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

_SOURCES = ("", "src", "lib", "python")
"""Folders of a project in which its packages lie."""
TESTS = ("conftest", "test", "tests")
"""Modules that are tests even where a project installs something of that name, as some do by accident."""


def leave_out(folder: Path, project: str, packages: Iterable[str]) -> None:
    """Delete the project's own packages from a copy of the repository.

    Args:
        packages: top-level modules that the project installs.
    """
    wanted = set(packages).difference(TESTS)
    for place in _SOURCES:
        above = folder / project / place
        for path in sorted(above.iterdir()) if above.is_dir() else ():
            if path.name.partition(".")[0] in wanted and (path.is_dir() or path.suffix in (".py", ".so")):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.rmtree(folder / ".git", ignore_errors=True)
