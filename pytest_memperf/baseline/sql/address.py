"""The addresses of databases: ``sqlite:///FILE`` and ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE``."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_memperf.model.errors import UsageMistake

if TYPE_CHECKING:
    from sqlalchemy import URL

    from pytest_memperf.baseline.sql.database import Database

_DRIVERS = {"sqlite": "sqlite3", "postgresql": "psycopg", "postgres": "psycopg"}
_SECRETS = ("password", "sslpassword")
"""Parts of a query that libpq takes for them."""
_CONNECT = "10"
"""Seconds for a server to answer; libpq itself would wait for minutes."""
_LOCKED = 60.0
"""Seconds that others may keep what is to be read or written."""


def database_at(address: str, folder: Path) -> Database:
    """Return the database, to which nothing connects yet.

    UsageMistake for a wrong address, which is never shown whole, for it may hold a password; or where what it needs is
    not installed.

    Args:
        folder: where a relative FILE begins.
    """
    scheme = address.partition("://")[0]
    if scheme not in _DRIVERS:
        raise UsageMistake(
            f"{scheme}:// is no storage: name a folder, sqlite:///FILE or postgresql://USER@HOST/DATABASE"
        )
    for module in ("sqlalchemy", _DRIVERS[scheme]):
        try:
            importlib.import_module(module)
        except ImportError as error:
            mend = "take a Python with it" if module == "sqlite3" else "pip install pytest-memperf[sql]"
            raise UsageMistake(f"a storage in {scheme}:// needs {module} ({error}): {mend}") from None
    url = _parsed(address)
    return _sqlite(url, folder) if scheme == "sqlite" else _postgresql(url)


def _parsed(address: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(address)
    except (ArgumentError, ValueError):  # whose texts may show the password
        url = None
    if url is None or re.search(r"[^\w.,:%*-]", url.host or ""):  # a part of a password that was not quoted
        raise UsageMistake(
            "the address of the storage cannot be read: write it as sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for @, %2F for / and %3A for : in a password"
        )
    return url


def _sqlite(url: URL, folder: Path) -> Database:
    from pytest_memperf.baseline.sql.sqlite import SqliteDatabase

    if url.host or not url.database or url.database == ":memory:":
        raise UsageMistake("a storage in sqlite needs a file: write sqlite:///FILE, or sqlite:////FOLDER/FILE")
    timeout = url.query.get("timeout", str(_LOCKED))
    unknown = ", ".join(sorted(set(url.query) - {"timeout"}))
    try:
        if unknown or not 0 <= float(str(timeout)) < 10**6:
            raise ValueError
    except ValueError:
        raise UsageMistake(
            f"{'?' + unknown if unknown else f'timeout={timeout}'} in the address of sqlite: "
            "write sqlite:///FILE, or sqlite:///FILE?timeout=SECONDS"
        ) from None
    return SqliteDatabase(folder / url.database, float(str(timeout)))


def _postgresql(url: URL) -> Database:
    from pytest_memperf.baseline.sql.postgresql import PostgresqlDatabase

    host = url.host or url.query.get("host", "")
    at = f"{url.username}@" if url.username else ""
    port = f":{url.port}" if url.port else ""
    described = f"postgresql://{at}{host}{port}/{url.database or ''}"
    secrets = [url.password, *(url.query.get(key) for key in _SECRETS)]
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": _CONNECT})
    return PostgresqlDatabase(
        url.set(drivername="postgresql+psycopg"), described, [str(secret) for secret in secrets if secret], _LOCKED
    )
