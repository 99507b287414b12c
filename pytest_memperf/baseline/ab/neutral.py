"""HEAD's tests for both sides, in a place from which the project itself cannot be imported."""

from __future__ import annotations

import shutil
from collections.abc import Container
from pathlib import Path

_SOURCES = ("", "src", "lib", "python")
"""Folders of a project in which its packages lie."""


def leave_out(folder: Path, project: str, packages: Container[str]) -> list[str]:
    """Delete the project's own packages from a copy of the repository, and return their paths in it.

    Args:
        packages: top-level modules that the project installs.
    """
    removed = []
    for place in _SOURCES:
        above = folder / project / place
        for path in sorted(above.iterdir()) if above.is_dir() else ():
            if path.name.partition(".")[0] in packages and (path.is_dir() or path.suffix in (".py", ".so")):
                removed.append(str(path.relative_to(folder)))
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(folder / ".git", ignore_errors=True)
    return removed
