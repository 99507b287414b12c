"""Saved runs as files, ``.memperf/<platform>/NNNN_<commit>_<time>[_dirty].json``, in the format of --memperf-json."""

from __future__ import annotations

import datetime
import errno
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from pytest_memperf.baseline.store import OfTest
from pytest_memperf.environment.locks import locked
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.run import Run
from pytest_memperf.report import checksum
from pytest_memperf.report.json_file import JsonFile, check_folder
from pytest_memperf.report.json_reader import read, read_head

FOLDER = ".memperf"
_ANOTHER = "name another folder with --memperf-storage"
UNVERSIONED = "unversioned"
"""Stands for the commit where there is none."""
_FILE = re.compile(rf"([0-9]{{4,}})_([0-9a-f]{{4,12}}|{UNVERSIONED})_[0-9]{{8}}T[0-9]{{6}}(_dirty)?\.json")


def platform() -> str:
    """Return the name of the folder that runs of such interpreters on such machines lie in."""
    system = os.uname()
    python = "{}-{}.{}".format(
        "CPython" if sys.implementation.name == "cpython" else sys.implementation.name, *sys.version_info
    )
    return f"{system.sysname}-{system.machine}-{python}"


def run_name(number: int, run: Run) -> str:
    """Return the name of a run's file."""
    commit = run.commit.id[:12] if run.commit else UNVERSIONED
    time = re.sub(r"[-:]", "", run.created)[: len("20261122T042947")]
    return f"{number:04}_{commit}_{time}{'_dirty' if run.commit and run.commit.dirty else ''}.json"


@dataclass(frozen=True, slots=True)
class SavedRun:
    """A file of the store; what its name does not tell is read when it is asked for."""

    number: int
    path: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def described(self) -> str:
        """The file's path."""
        return str(self.path)

    @property
    def saved_at(self) -> datetime.datetime:
        """When its session began, as the file's name tells; the end of time where that is no time."""
        try:
            return datetime.datetime.strptime(self.path.name.split("_")[2][:15] + "+0000", "%Y%m%dT%H%M%S%z")
        except ValueError:
            return datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)

    @property
    def head(self) -> Run:
        """The run without results and environment. UsageMistake for a damaged file."""
        return read_head(str(self.path))

    def read(self) -> Run:
        """Return all of it. UsageMistake for a damaged file."""
        return read(str(self.path))

    def document(self) -> dict[str, Any]:
        """Return what the file holds, what this version does not know too. UsageMistake for a damaged file."""
        self.read()
        try:
            data: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
            data.pop(checksum.NAME, None)  # is of this file, not of what it holds
        except (OSError, ValueError) as error:  # it was whole right now
            raise UsageMistake(f"{self.path} cannot be read ({error}): leave it alone meanwhile") from error
        return data

    def remove(self) -> None:
        """Delete the file; one that somebody else has deleted is gone. UsageMistake where it cannot be."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise UsageMistake(f"{self.path} cannot be deleted ({error.strerror}): mend its folder's rights") from None


class FileStore:
    """The runs of one project, in a folder.

    Any number of sessions may save at once: each writes to a file of its own, and takes its number under a lock.
    """

    def __init__(self, folder: Path, platform: str) -> None:
        self.folder = folder
        self.platform = platform

    @property
    def described(self) -> str:
        """The folder of the platform."""
        return os.path.relpath(self.folder / self.platform)

    def runs(self) -> list[SavedRun]:
        """Return the runs of the platform, the oldest first. UsageMistake where the folder cannot be read."""
        folder = self.folder / self.platform
        try:
            return _runs(folder)
        except OSError as error:
            raise UsageMistake(f"{folder} cannot be read ({error.strerror}): {_ANOTHER}") from error

    def of_test(self, numbers: Sequence[int], test: str) -> OfTest:
        """Return runs with the results of tests that have this text in their ids.

        UsageMistake where the folder cannot be read; a run that was deleted meanwhile is left out.
        """
        saved = {each.number: each for each in self.runs()}
        runs: list[tuple[int, Run]] = []
        remarks = []
        for number in numbers:
            try:
                run = saved[number].read() if number in saved else None
            except UsageMistake as mistake:
                remarks.append(str(mistake))
            else:
                if run is not None:
                    runs.append((number, replace(run, results=[each for each in run.results if test in each.test])))
        return OfTest(runs, remarks)

    def save(self, run: Run, head: Mapping[str, Any] | None = None) -> RunFile:
        """Return a file for the results of a run, which becomes one of the store's when it is finished.

        UsageMistake where that is bound to fail. Nothing is made before the first result, not even the folder.

        Args:
            head: what the file begins with, where that says more than the run.
        """
        folder = self.folder / self.platform
        try:
            check_folder(next(each for each in (folder, *folder.absolute().parents) if os.path.lexists(each)))
        except OSError as error:
            raise _cannot_write(folder, error) from error
        return RunFile(folder, run, run.head if head is None else head)


def stores(folder: Path) -> list[FileStore]:
    """Return the store of each platform that has runs in the folder."""
    platforms = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [FileStore(folder, name) for name in platforms]


def is_of_one_platform(folder: Path) -> bool:
    """Tell whether this is one of the folders in which a store has its runs."""
    return folder.is_dir() and bool(_runs(folder))


class RunFile(JsonFile):
    """A file of the store while it is written: it gets its number last, so that there are no gaps.

    ``path`` is the folder until then, for messages.
    """

    def __init__(self, folder: Path, run: Run, head: Mapping[str, Any]) -> None:
        super().__init__(str(folder / "run"), head)
        self.path = str(folder)
        self._run = run

    def cannot_be_written(self, error: OSError) -> UsageMistake:
        """Return the error of another method as one line with its mend."""
        return _cannot_write(Path(self.path), error)

    def _opened(self) -> tuple[BinaryIO, Path]:
        if self._file is None:
            folder = Path(self._folder)
            is_new = not folder.parent.exists()
            folder.mkdir(parents=True, exist_ok=True)
            if is_new:
                _keep_out_of_git(folder.parent)
        return super()._opened()

    def _place(self, temporary: Path) -> None:
        folder = temporary.parent
        with locked(folder / ".lock"):
            number = max((run.number for run in _runs(folder)), default=0) + 1
            target = folder / run_name(number, self._run)
            os.rename(temporary, target)
        self.path = str(target)


def _keep_out_of_git(folder: Path) -> None:
    """Have git not see a folder of runs: it is no change of the project, which the gate would look at."""
    with suppress(OSError):  # the run itself will tell
        (folder / ".gitignore").write_text("# Runs of pytest-memperf. Remove this file to have them in git.\n*\n")


def _cannot_write(folder: Path, error: OSError) -> UsageMistake:
    mend = f"free some space, or {_ANOTHER}" if error.errno in (errno.ENOSPC, errno.EDQUOT) else _ANOTHER
    return UsageMistake(f"{folder} cannot be written ({error.strerror}): {mend}")


def _runs(folder: Path) -> list[SavedRun]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    matches = sorted((int(match[1]), name) for name in names if (match := _FILE.fullmatch(name)))
    return [SavedRun(number, folder / name) for number, name in matches]
