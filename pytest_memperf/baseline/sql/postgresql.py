"""Runs on a server of PostgreSQL, for a team."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import URL, Connection, create_engine, func, select, text
from sqlalchemy.pool import NullPool

from pytest_memperf.baseline.sql.database import Database, Use
from pytest_memperf.baseline.sql.migrations import STEPS, Steps

_KEY = 0x6D656D70657266
"""Of the advisory lock that those who save share, and an upgrade has alone: "memperf" as a number."""
_WAIT = text("SELECT set_config('lock_timeout', :wait, true) WHERE current_setting('lock_timeout') = '0'")


class PostgresqlDatabase(Database):
    """A database on a server. Runs are saved side by side; only at their ends, for the number, one waits for another.

    Args:
        url: for psycopg; libpq's own variables and files add to it.
        wait: seconds to wait for others, where neither the address nor the server says how long.
    """

    def __init__(self, url: URL, described: str, secrets: Sequence[str], wait: float, steps: Steps = STEPS) -> None:
        super().__init__(create_engine(url, poolclass=NullPool), described, secrets, steps)
        self._wait = f"{wait:g}s"

    def _begin(self, connection: Connection, use: Use) -> None:
        if use is Use.READ:
            return  # a transaction begins by itself
        connection.execute(_WAIT, {"wait": self._wait})
        lock = func.pg_advisory_xact_lock_shared if use is Use.SAVE else func.pg_advisory_xact_lock
        connection.execute(select(lock(_KEY)))
