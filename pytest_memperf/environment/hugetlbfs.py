"""Mounts of hugetlbfs that were made here, written down so that exactly those are taken away."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
from pathlib import Path

from pytest_memperf.environment.reservations import FOLDER

_libc = ctypes.CDLL(None, use_errno=True)


class Mounts:
    """The mounts made here. What the system forbids is an OSError.

    Args:
        file: where they are written down.
    """

    def __init__(self, file: Path = FOLDER / "mounts") -> None:
        self._file = file

    def entries(self) -> dict[str, bool]:
        """Return the folders, each with whether it was made for the mount."""
        try:
            found: dict[str, bool] = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        return found

    def mount(self, folder: Path, page_size: int) -> None:
        """Mount hugetlbfs for pages of this size; where the folder is missing, it is made."""
        made = not folder.exists()
        self._write({**self.entries(), str(folder): made})
        try:
            if made:
                folder.mkdir()
            options = f"pagesize={page_size // 1024}K".encode()
            _check(_libc.mount(b"memperf", os.fsencode(folder), b"hugetlbfs", ctypes.c_ulong(0), options), folder)
        except OSError:
            if made:
                with contextlib.suppress(OSError):
                    folder.rmdir()
            self._forget(folder)
            raise

    def unmount(self, folder: Path) -> None:
        """Unmount it, and remove the folder if it was made for that. OSError with EBUSY while a file is open there."""
        if os.path.ismount(folder):
            _check(_libc.umount2(os.fsencode(folder), 0), folder)
        if self.entries().get(str(folder)):
            with contextlib.suppress(OSError):  # someone has put something there
                folder.rmdir()
        self._forget(folder)

    def _forget(self, folder: Path) -> None:
        left = self.entries()
        left.pop(str(folder), None)
        self._write(left)

    def _write(self, entries: dict[str, bool]) -> None:
        if not entries:
            self._file.unlink(missing_ok=True)
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(entries))
        new.replace(self._file)


def _check(answer: int, folder: Path) -> None:
    if answer != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), str(folder))
