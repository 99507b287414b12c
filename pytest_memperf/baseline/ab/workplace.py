"""A temporary folder for one run. What a killed run has left is removed by the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "memperf-ab-"


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Make the folder, and delete it at the end."""
    above = Path(tempfile.gettempdir())
    remove_abandoned(above)
    # Nobody is to take a folder for abandoned that is made but not yet locked: it gets its name afterwards.
    made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=above))
    mine = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(mine, fcntl.LOCK_EX)
    folder = made.rename(made.with_name(made.name.removeprefix(".")))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(mine)


def remove_abandoned(above: Path) -> None:
    """Remove the folders that belong to runs which are over: the kernel takes the lock from whoever is killed."""
    for folder in above.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(descriptor).st_uid == os.geteuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
