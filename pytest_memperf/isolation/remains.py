"""The data of mapped files: deleted by the fixture after the test, or by the driver where a child did not get there."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

_PREFIX = "mapped_file_"
_NAME = "data"


def new_path(folder: Path) -> Path:
    """Return the path for a new file of data, alone in a new folder within this one."""
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder)) / _NAME


def delete(path: Path) -> None:
    """Delete a file of data where it is there, and the folder that was made for it."""
    path.unlink(missing_ok=True)
    with suppress(OSError):  # gone already, or the test put a file of its own there
        path.parent.rmdir()


def delete_all(folder: Path) -> None:
    """Delete what is left of the data in the folder of a child that has ended."""
    for made in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # the test took away the right to do so
            delete(made / _NAME)
