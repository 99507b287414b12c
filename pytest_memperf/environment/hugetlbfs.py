"""Mounts of hugetlbfs that were made here, written down so that exactly those are taken away."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
from pathlib import Path

from pytest_memperf.environment.files import write_whole
from pytest_memperf.environment.hugepages import mounts
from pytest_memperf.environment.lists import HUGE_PAGES
from pytest_memperf.environment.reservations import Ledger

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)


class Mounts:
    """The mounts made here. What the system forbids is an OSError.

    Args:
        file: where they are written down, under the lock of the ledger in the same folder.
    """

    def __init__(self, file: Path = HUGE_PAGES / "mounts") -> None:
        self._file = file
        self._ledger = Ledger(file.parent)

    def entries(self) -> dict[str, bool]:
        """Return the folders, each with whether it was made for the mount."""
        try:
            found: dict[str, bool] = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        return found

    def mount(self, folder: Path, page_size: int) -> None:
        """Mount hugetlbfs for pages of this size; where the folder is missing, it is made."""
        with self._ledger.locked():
            made = not folder.exists()
            self._write({**self.entries(), str(folder): made})
            try:
                if made:
                    folder.mkdir()
                options = f"pagesize={page_size // 1024}K".encode()
                _check(_libc.mount(b"memperf", os.fsencode(folder), b"hugetlbfs", 0, options), folder)
            except OSError:
                if made:
                    with contextlib.suppress(OSError):
                        folder.rmdir()
                self._forget(folder)
                raise

    def unmount(self, folder: Path) -> None:
        """Unmount it, and remove the folder if it was made for that. OSError with EBUSY while a file is open there."""
        with self._ledger.locked():
            if _is_mounted(folder):
                _check(_libc.umount2(os.fsencode(folder), 0), folder)
            if _is_mounted(folder):  # another time, by someone
                return
            if self.entries().get(str(folder)):
                with contextlib.suppress(OSError):  # someone has put something there
                    folder.rmdir()
            self._forget(folder)

    def _forget(self, folder: Path) -> None:
        left = self.entries()
        left.pop(str(folder), None)
        self._write(left)

    def _write(self, entries: dict[str, bool]) -> None:
        if entries:
            write_whole(self._file, json.dumps(entries))
        else:
            self._file.unlink(missing_ok=True)


def _is_mounted(folder: Path) -> bool:
    """Tell whether hugetlbfs is there; os.path.ismount says no of a link to such a folder."""
    return str(folder.resolve()) in mounts()


def _check(answer: int, folder: Path) -> None:
    if answer != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), str(folder))
