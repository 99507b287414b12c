"""What fixtures take away after the test, mapped files and huge pages; the driver does it where a child did not.

Each file of data is written down in a folder of the user's until it is deleted, with the process that made it: where
that was killed, the next session that measures, or makes files, deletes it.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from pytest_memperf.environment import lists
from pytest_memperf.environment.owner import Owner, this_process

_PREFIX = "mapped_file_"
_NAME = "data"


def new_path(folder: Path) -> Path:
    """Return the path for a new file of data, alone in a new folder within this one, and write it down."""
    path = (folder / f"{_PREFIX}{secrets.token_hex(8)}" / _NAME).absolute()
    with suppress(OSError):  # there is no list, then, but the file can be had all the same
        _entry(path, this_process()).symlink_to(path)  # first: a kill may come at any moment
    try:
        path.parent.mkdir(mode=0o700)
    except OSError:
        delete(path)
        raise
    return path


def delete(path: Path) -> None:
    """Delete a file of data where it is there, and the folder that was made for it."""
    _remove(path)
    with suppress(OSError):
        _entry(path.absolute(), this_process()).unlink()


def delete_all(folder: Path) -> None:
    """Delete what is left of the data in the folder of a child that has ended, and what others left elsewhere."""
    for made in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # the test took away the right to do so
            _remove(made / _NAME)
    delete_left_behind()


def delete_left_behind() -> None:
    """Delete the files of data whose processes have ended without doing so."""
    with suppress(OSError):
        for entry in _list().iterdir():
            pid, start, boot, _ = entry.name.split("_", 3)
            if Owner(int(pid), start, boot).is_dead():
                with suppress(OSError):
                    path = Path(os.readlink(entry))
                    if path.name == _NAME and path.parent.name.startswith(_PREFIX):
                        _remove(path)
                    entry.unlink()


def give_back_huge_pages() -> None:
    """Give back the huge pages that children which have ended had reserved."""
    from pytest_memperf.environment.reservations import Ledger  # which hardly any session needs

    with suppress(OSError):  # some other user's
        Ledger().clear()


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
    with suppress(OSError):  # gone already, or the test put a file of its own there
        path.parent.rmdir()


def _entry(path: Path, owner: Owner) -> Path:
    return _list() / f"{owner.pid}_{owner.start}_{owner.boot}_{path.parent.name.removeprefix(_PREFIX)}"


def _list() -> Path:
    """Return the folder of the files written down, which nobody else may write to. OSError where there can be none."""
    folder = lists.of_files()
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise OSError(f"{folder} is not a folder that this user alone can write to")
    return folder
