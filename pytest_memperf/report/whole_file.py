"""Files that are there whole or not at all: written beside their name, which they get at the end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from pathlib import Path

from pytest_memperf.environment.locks import taken

_TEMPORARY = ".memperf-"
_OURS = re.compile(rf"{re.escape(_TEMPORARY)}[0-9a-f]{{12}}")
"""Others may have files that begin so."""


def new_temporary(folder: Path) -> tuple[Path, int]:
    """Return a new file, and its descriptor, whose lock tells others that somebody still writes to it."""
    while True:
        # The name is short, whatever the target's length; O_EXCL and chance keep it ours in a shared folder.
        temporary = folder / f"{_TEMPORARY}{secrets.token_hex(6)}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # or another session took it for abandoned, right before the lock
            return temporary, descriptor
        os.close(descriptor)


def remove_abandoned(folder: Path) -> None:
    """Remove what killed sessions have left in the folder."""
    for file in folder.glob(f"{_TEMPORARY}*"):
        if not _OURS.fullmatch(file.name):
            continue
        # O_NONBLOCK: a pipe of the name is no file of ours, and nobody may ever read from it.
        with contextlib.suppress(OSError), taken(file, os.O_WRONLY | os.O_NONBLOCK):
            file.unlink()


def sync_folder(folder: Path) -> None:
    """Bring the new name to the disk too, where the file system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write the file, or leave an older one as it is: OSError then."""
    remove_abandoned(path.parent)
    temporary, descriptor = new_temporary(path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)
