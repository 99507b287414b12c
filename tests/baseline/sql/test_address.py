"""Addresses lead to databases, and are never shown with what is secret in them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from stored import at, save

from pytest_memperf.baseline.sql.address import database_at
from pytest_memperf.model.errors import UsageMistake


@pytest.mark.parametrize(
    ("address", "described"),
    [
        ("sqlite:///runs.db", "sqlite:////project/runs.db"),
        ("sqlite:///below/runs.db?timeout=5", "sqlite:////project/below/runs.db"),
        ("sqlite:////elsewhere/runs.db", "sqlite:////elsewhere/runs.db"),
        ("postgresql://host/runs", "postgresql://host/runs"),
        ("postgres://me:secret@host:5433/runs", "postgresql://me@host:5433/runs"),
        ("postgresql://me:s%40cr%3Aet@host/runs?sslmode=require", "postgresql://me@host/runs"),
        ("postgresql://me@/runs?host=/run/sockets&password=secret", "postgresql://me@/run/sockets/runs"),
    ],
)
def test_are_shown_without_secrets(address: str, described: str) -> None:
    """A relative file begins where the folder is."""
    assert database_at(address, Path("/project")).described == described


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:sec@ret@host/runs",
        "postgresql://me:secret@host:port/runs",
        "postgresql://me:sec:ret@ho:st@:x/runs",
        "postgresql://[secret/runs",
    ],
)
def test_one_that_cannot_be_read_is_not_shown(address: str) -> None:
    """An unquoted character makes a part of the password look like something else."""
    with pytest.raises(UsageMistake) as mistake:
        database_at(address, Path())
    assert "sec" not in str(mistake.value)
    assert "with %40 for @" in str(mistake.value)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("mysql://me:secret@host/runs", "mysql:// is no storage: name a folder, sqlite:///FILE or postgresql://"),
        ("sqlite://", "a storage in sqlite needs a file: write sqlite:///FILE"),
        ("sqlite:///:memory:", "a storage in sqlite needs a file"),
        ("sqlite://runs.db", "a storage in sqlite needs a file"),
        ("sqlite:///runs.db?timeout=long", "timeout=long in the address of sqlite: write "),
        ("sqlite:///runs.db?timeout=nan", "timeout=nan in the address of sqlite: write "),
        ("sqlite:///runs.db?mode=ro", "?mode in the address of sqlite: write "),
    ],
)
def test_mistakes(address: str, message: str) -> None:
    """One line that names the mend."""
    with pytest.raises(UsageMistake) as mistake:
        database_at(address, Path())
    assert str(mistake.value).startswith(message)
    assert "secret" not in str(mistake.value)


@pytest.mark.parametrize(
    ("address", "module"), [("sqlite:///runs.db", "sqlalchemy"), ("postgresql://host/runs", "psycopg")]
)
def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch, address: str, module: str) -> None:
    """One line that names the extra."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageMistake) as mistake:
        database_at(address, Path())
    scheme = address.partition(":")[0]
    assert str(mistake.value).startswith(f"a storage in {scheme}:// needs {module} (")
    assert str(mistake.value).endswith("): pip install pytest-memperf[sql]")


def test_a_folder_needs_none_of_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever keeps files does not install the extra."""
    for name in [name for name in sys.modules if name.startswith("pytest_memperf.baseline.sql")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert save(at(str(tmp_path))).startswith(f"{tmp_path}/Linux-any/0001_")


def test_libpq_s_own_settings_hold(server: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password may come from PGPASSWORD, and a schema of its own from the address."""
    from postgresql_server import Server

    assert isinstance(server, Server)
    database = server.new_database()
    server.execute("CREATE SCHEMA mine", database)
    monkeypatch.setenv("PGPASSWORD", server.password)
    address = f"postgresql://memperf@/{database}?host={server.folder}&options=-c%20search_path%3D"
    save(at(f"{address}mine"))
    assert [run.number for run in at(f"{address}mine").runs()] == [1]
    assert list(at(f"{address}public").runs()) == []
