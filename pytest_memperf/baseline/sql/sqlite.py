"""Runs in a file of sqlite, for the jobs of one machine."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from pytest_memperf.baseline.sql.database import Database, Use
from pytest_memperf.baseline.sql.migrations import STEPS, Steps
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.report.json_file import check_folder


class SqliteDatabase(Database):
    """A file. Whoever writes has it alone, for as long as it takes to save a run; the others wait.

    The journal is the usual one, not the log beside the file (WAL): so the file is the whole database as soon as nobody
    writes, can be copied, and read where nothing can be written; readers wait for a commit only.

    Args:
        timeout: seconds to wait for others.
    """

    file: Path

    def __init__(self, file: Path, timeout: float, steps: Steps = STEPS) -> None:
        super().__init__(
            create_engine("sqlite://", creator=self._open, poolclass=NullPool), f"sqlite:///{file}", steps=steps
        )
        self.file = file
        self._timeout = timeout

    def check_writable(self) -> None:
        """Raise UsageMistake where nothing can be saved; a file that is not there yet is not made."""
        if self._is_there():
            super().check_writable()
            return
        try:
            check_folder(self.file.parent)
        except OSError as error:
            mend = "make the folder first" if isinstance(error, FileNotFoundError) else "name a file in another folder"
            raise UsageMistake(f"{self.described} cannot be written ({error.strerror}): {mend}") from None

    def _is_there(self) -> bool:
        return os.path.exists(self.file)  # False also where it cannot be told

    def _open(self) -> sqlite3.Connection:
        # isolation_level=None: Python begins no transactions of its own, which would leave out the DDL.
        connection = sqlite3.connect(self.file, timeout=self._timeout, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        # In KiB: pages that do not fit are written before the end, and keep readers waiting from there on.
        connection.execute("PRAGMA cache_size = -65536")
        return connection

    def _begin(self, connection: Connection, use: Use) -> None:
        connection.exec_driver_sql("BEGIN" if use is Use.READ else "BEGIN IMMEDIATE")
