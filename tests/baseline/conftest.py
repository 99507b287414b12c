"""What the tests of stores share: a server for the session, and the address of a new database of each sort."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg  # noqa: F401
import pytest

# Before any test of pytester's, which forgets what was imported in it: SQLAlchemy warns of its second time.
import sqlalchemy.dialects.postgresql  # noqa: F401

sys.path += [str(Path(__file__).parent), str(Path(__file__).parent / "sql")]

from postgresql_server import LACKING, Server, programs, started


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Return a server that is there for the tests alone; skip where none is installed."""
    if programs() is None:
        pytest.skip(LACKING)
    with started() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database that has no tables yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/runs.db"
    server: Server = request.getfixturevalue("server")
    return server.address(server.new_database())
