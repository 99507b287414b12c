"""The results as one JSON file: a line for each result, written as they come, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import FORMAT
from pytest_memperf.model.run import Run
from pytest_memperf.report import checksum
from pytest_memperf.report.whole_file import new_temporary, remove_abandoned, sync_folder

_NAME, _, _VERSION = FORMAT.partition("/")
_START = re.compile(rf'\s*{{\s*"format":\s*"{_NAME}/(\d*)'.encode())
_MENDS = {
    errno.ENOENT: "make the folder first",
    errno.ENOSPC: "free some space, or name another file",
    errno.EDQUOT: "free some space, or name another file",
    errno.EISDIR: "name a file in it",
}


def cannot_write(path: str, error: OSError) -> UsageMistake:
    """Return the error as one line with its mend."""
    mend = _MENDS.get(error.errno or 0, "name a file in a folder that can be written")
    return UsageMistake(f"{path} cannot be written ({error.strerror}): {mend}")


def check_target(path: str) -> None:
    """Raise UsageMistake where a file cannot be written at this path, as far as that can be told beforehand."""
    target = Path(os.path.realpath(path))
    try:
        with contextlib.suppress(FileNotFoundError):
            mode = target.stat().st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(mode):
                raise UsageMistake(f"{path} cannot be written (not a regular file): name a file, it is replaced whole")
            _check_content(path, target)
        check_folder(target.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def check_folder(folder: Path) -> None:
    """Raise OSError where no file can be made in the folder, as far as that can be told beforehand."""
    if not stat.S_ISDIR(folder.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _check_content(path: str, file: Path) -> None:
    """Raise UsageMistake unless the file is an older one of results, or empty, for it will be replaced."""
    with file.open("rb") as opened:
        start = opened.read(100)
    results = _START.match(start)
    if start and results is None:  # ``--memperf-json tests/test_x.py`` is soon typed
        raise UsageMistake(f"{path} is there and holds no results: name another file, this one would be replaced")
    if results is not None and int(results[1] or 0) > int(_VERSION):
        raise UsageMistake(
            f"{path} was written by a newer pytest-memperf (format {int(results[1])}, here it is {_VERSION}): "
            "name another file, this one would be replaced"
        )


class JsonFile:
    """One file of results. Until ``finish`` an older file of the name stays as it is.

    Every method may raise OSError: the disk is full, the folder is gone; nothing is left behind then.
    """

    def __init__(self, path: str, head: Mapping[str, Any]) -> None:
        self.path = path
        self._folder, self._name = os.path.split(os.path.realpath(path))
        self._head = head
        self._temporary: Path | None = None
        self._file: BinaryIO | None = None
        self._sum = checksum.Checksum()
        self._lines = 0

    def add(self, result: Mapping[str, Any]) -> None:
        """Write a result."""
        # default: the scalars of numeric libraries are no floats, but become one.
        line = json.dumps(result, ensure_ascii=False, allow_nan=False, default=float)
        self._write(f"{',' if self._lines else ''}\n{line}")
        self._lines += 1

    def finish(self, tail: Mapping[str, Any]) -> None:
        """Write the end, bring all of it to the disk, and put it in the place of an older file."""
        members = json.dumps(tail, ensure_ascii=False)[1:-1]
        self._write(f"\n],\n{members}{', ' if members else ''}")
        self._write(f'"{checksum.NAME}": "{self._sum}"}}\n')
        file, temporary = self._opened()
        try:
            file.flush()
            os.fsync(file.fileno())
            self._place(temporary)
            file.close()
        except OSError:
            self.abandon()
            raise
        self._temporary = self._file = None
        sync_folder(temporary.parent)

    def cannot_be_written(self, error: OSError) -> UsageMistake:
        """Return the error of another method as one line with its mend."""
        return cannot_write(self.path, error)

    def _place(self, temporary: Path) -> None:
        """Give the whole file its name."""
        os.replace(temporary, temporary.with_name(self._name))

    def abandon(self) -> None:
        """Leave an older file as it is, and nothing beside it."""
        file, temporary = self._file, self._temporary
        self._file = self._temporary = None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()

    def _write(self, text: str) -> None:
        try:
            file, _ = self._opened()
            self._put(file, text)
        except OSError:
            self.abandon()
            raise

    def _opened(self) -> tuple[BinaryIO, Path]:
        if self._file is None or self._temporary is None:
            folder = Path(self._folder)
            remove_abandoned(folder)
            self._temporary, descriptor = new_temporary(folder)
            self._file, self._sum = os.fdopen(descriptor, "wb"), checksum.Checksum()
            head = json.dumps({"format": FORMAT, **self._head}, ensure_ascii=False)
            self._put(self._file, f'{head[:-1]}, "results": [')
        return self._file, self._temporary

    def _put(self, file: BinaryIO, text: str) -> None:
        data = text.encode(errors="backslashreplace")
        self._sum.add(data)
        file.write(data)


def write(path: str, run: Run, results: Iterable[Mapping[str, Any]] | None = None) -> None:
    """Write a whole run. UsageMistake where the file cannot be written; an older one then stays."""
    check_target(path)
    file = JsonFile(path, run.head)
    try:
        for result in results if results is not None else (result.as_json() for result in run.results):
            file.add(result)
        file.finish({"environment": run.environment.as_json()})
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        file.abandon()
