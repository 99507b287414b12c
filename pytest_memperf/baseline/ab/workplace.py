"""A temporary folder for one run. What a killed run has left is removed by the next."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pytest_memperf.environment.locks import taken

PREFIX = "memperf-ab-"
_OURS = re.compile(rf"{PREFIX}[a-z0-9_]{{8}}")
"""As ``mkdtemp`` names them; others may have folders that begin so."""


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Make the folder, and delete it at the end."""
    above = Path(tempfile.gettempdir())
    remove_abandoned(above)
    # Nobody is to take a folder for abandoned that is made but not yet locked: it gets its name afterwards.
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=above))
    with taken(made, os.O_RDONLY | os.O_DIRECTORY):
        folder = made.rename(made.with_name(made.name.removeprefix(".")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(above: Path) -> None:
    """Remove the folders that belong to runs which are over: the kernel takes the lock from whoever is killed."""
    for folder in above.glob(f"{PREFIX}*"):
        if not _OURS.fullmatch(folder.name):
            continue
        with contextlib.suppress(OSError), taken(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
            if os.fstat(descriptor).st_uid == os.geteuid():
                shutil.rmtree(folder, ignore_errors=True)
