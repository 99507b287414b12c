"""What ``--memperf-storage`` and its likes name: a folder, or a database."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_memperf.baseline.file_store import FileStore, stores
from pytest_memperf.baseline.store import Store

if TYPE_CHECKING:
    from pytest_memperf.baseline.sql.database import Database


def store_at(storage: str, folder: Path, platform: str) -> Store:
    """Return the store of a platform. UsageMistake for an address that leads nowhere.

    Args:
        storage: a path or an address, ``sqlite:///FILE`` or ``postgresql://HOST/DATABASE``.
        folder: where relative paths begin.
    """
    if not is_address(storage):
        return FileStore(folder / storage, platform)
    database = _database(storage, folder)  # first: it tells what is not installed
    from pytest_memperf.baseline.sql.store import SqlStore

    return SqlStore(database, platform)


def stores_at(storage: str, folder: Path) -> Sequence[Store]:
    """Return the store of each platform that has runs there. UsageMistake as of ``store_at``."""
    if not is_address(storage):
        return stores(folder / storage)
    database = _database(storage, folder)
    from pytest_memperf.baseline.sql.store import sql_stores

    return sql_stores(database)


def missing(storage: str, folder: Path) -> str | None:
    """Return what is to be there and is not, a folder or a file, in words; None for what only a server can tell."""
    if not is_address(storage):
        return None if os.path.isdir(folder / storage) else "folder"
    file = _database(storage, folder).file
    return None if file is None or os.path.isfile(file) else "file"


def is_address(storage: str) -> bool:
    """Tell whether this is written as the address of a database."""
    return "://" in storage


def _database(address: str, folder: Path) -> Database:
    from pytest_memperf.baseline.sql.address import database_at  # which few sessions need

    return database_at(address, folder)
