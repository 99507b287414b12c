"""A temporary folder for one run. What a killed run has left is removed by the next."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pytest_memperf.baseline.ab.environments import cache_folder

PREFIX = "memperf-ab-"


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Make the folder, and delete it at the end."""
    above = Path(tempfile.gettempdir())
    # Nobody is to take a folder for abandoned that is made but not yet locked.
    cache_folder().mkdir(parents=True, exist_ok=True)
    with _locked(os.open(cache_folder() / "folders.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)):
        remove_abandoned(above)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=above))
        mine = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(mine, fcntl.LOCK_EX)
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


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
