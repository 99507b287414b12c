"""A database as the store uses it: a connection for each reading or writing, what goes wrong in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path

from sqlalchemy import Connection, Engine, false, insert, null, select, update
from sqlalchemy.exc import SQLAlchemyError

from pytest_memperf.baseline.sql.migrations import STEPS, Steps, upgrade, version_of
from pytest_memperf.baseline.sql.mistakes import mistake_of
from pytest_memperf.baseline.sql.schema import PLATFORM, RESULT, RUN, TEST
from pytest_memperf.model.errors import UsageMistake


class Use(Enum):
    """What a transaction is for."""

    READ = "read"
    SAVE = "save"
    """Beside others who save, as far as the database can; not beside an upgrade."""
    UPGRADE = "upgrade"
    """Beside nobody."""


class Database:
    """A database with our tables, or one that gets them with the first run.

    No connection outlives a call: what a measured test forks inherits none.

    Args:
        described: the address without what is secret.
        secrets: what no message may show.
        steps: the migrations; tests have others.
    """

    file: Path | None = None
    """The file that holds it; None on a server."""

    def __init__(self, engine: Engine, described: str, secrets: Sequence[str] = (), steps: Steps = STEPS) -> None:
        self.described = described
        self._engine = engine
        self._secrets = secrets
        self._steps = steps

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection | None]:
        """Yield a connection; None where there are no tables yet. UsageMistake where it cannot be read."""
        if not self._is_there():
            yield None  # looking makes none
            return
        with self._explained("read"), self._engine.connect() as connection:
            yield connection if self._begun(connection, Use.READ) else None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection in a transaction, which the end commits. UsageMistake where it cannot be written."""
        with self._explained("written"), self._engine.connect() as connection:
            if not self._begun(connection, Use.SAVE):
                self._upgrade(connection)
                self._begun(connection, Use.SAVE)
            yield connection
            connection.commit()

    def check_writable(self) -> None:
        """Raise UsageMistake where nothing can be saved, as far as that can be told beforehand."""
        with self.writing() as connection:
            for table in (RUN, TEST, RESULT):
                nothing = select(*(null() for _ in table.c)).where(false())
                connection.execute(insert(table).from_select(list(table.c), nothing))
            connection.execute(update(PLATFORM).values(last=0).where(false()))

    def _is_there(self) -> bool:
        """Tell whether there is anything to connect to, as far as that can be told without."""
        return True

    def _begin(self, connection: Connection, use: Use) -> None:
        """Begin a transaction, when others have ended those that do not go with it."""
        raise NotImplementedError

    def _begun(self, connection: Connection, use: Use) -> bool:
        """Begin a transaction on tables as they are to be; return False, without one, where there are no tables."""
        while True:
            self._begin(connection, use)
            version = self._version(connection)
            if version == len(self._steps):
                return True
            connection.rollback()
            if version == 0:
                return False
            self._upgrade(connection)

    def _upgrade(self, connection: Connection) -> None:
        with self._explained("upgraded"):
            self._begin(connection, Use.UPGRADE)
            self._version(connection)
            upgrade(connection, self._steps)
            connection.commit()

    def _version(self, connection: Connection) -> int:
        version = version_of(connection)
        if version > len(self._steps):
            raise UsageMistake(
                f"{self.described} was set up by a newer pytest-memperf "
                f"(version {version}, known here is up to {len(self._steps)}): update it"
            )
        return version

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise mistake_of(error, self.described, what, self._secrets) from None
