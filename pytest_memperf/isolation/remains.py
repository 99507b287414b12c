"""What fixtures take away after the test, mapped files and huge pages; the driver does it where a child did not."""

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


def give_back_huge_pages() -> None:
    """Give back the huge pages that children which have ended had reserved."""
    from pytest_memperf.environment.reservations import Ledger  # which hardly any session needs

    with suppress(OSError):  # some other user's
        Ledger().clear()
