"""A database gets the tables of this version, once, whoever comes first; one of a newer version is left alone."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import inspect
from stored import PLATFORM, at, save

from pytest_memperf.baseline.sql.address import database_at
from pytest_memperf.baseline.sql.database import Database
from pytest_memperf.baseline.sql.migrations import STEPS, Steps
from pytest_memperf.baseline.sql.schema import TABLES
from pytest_memperf.baseline.sql.store import SqlStore
from pytest_memperf.model.errors import UsageMistake

MORE: Steps = (*STEPS, ("ALTER TABLE memperf_run ADD COLUMN colour TEXT", "CREATE TABLE memperf_more (id {key})"))
FROZEN = Path(__file__).parent / "version-1.sql"


def with_steps(address: str, steps: Steps) -> Database:
    """Return the database as a version with these migrations would see it."""
    database = database_at(address, Path())
    database._steps = steps
    return database


def columns(database: Database) -> dict[str, list[str]]:
    """Return the columns of each table."""
    found = inspect(database._engine)
    names = [name for name in found.get_table_names() if name.startswith("memperf_")]
    return {name: [column["name"] for column in found.get_columns(name)] for name in names}


def test_the_steps_make_the_tables(address: str) -> None:
    """Those that the queries are written for: columns, what may be empty, keys and indexes."""
    save(at(address))
    found = inspect(database_at(address, Path())._engine)
    assert set(found.get_table_names()) == set(TABLES.tables)
    for name, table in TABLES.tables.items():
        key = found.get_pk_constraint(name)["constrained_columns"]
        there = {column["name"]: column["nullable"] and column["name"] not in key for column in found.get_columns(name)}
        assert there == {column.name: column.nullable for column in table.columns}
        assert key == [column.name for column in table.primary_key]
        foreign = {(key["constrained_columns"][0], key["referred_table"]) for key in found.get_foreign_keys(name)}
        assert foreign == {(key.parent.name, key.column.table.name) for key in table.foreign_keys}
        indexes = {index["name"]: (index["column_names"], bool(index["unique"])) for index in found.get_indexes(name)}
        wanted = {index.name: ([column.name for column in index.columns], index.unique) for index in table.indexes}
        assert wanted.items() <= indexes.items()
        unique = [each["column_names"] for each in found.get_unique_constraints(name)]
        assert unique == [[column.name] for column in table.columns if column.unique]


def test_an_older_one_is_brought_up(address: str) -> None:
    """With its runs in it, by who reads as by who saves."""
    save(at(address), "first")
    newer = with_steps(address, MORE)
    assert [run.head.name for run in SqlStore(newer, PLATFORM).runs()] == ["first"]
    assert columns(newer)["memperf_run"][-1] == "colour"
    assert columns(newer)["memperf_more"] == ["id"]
    save(SqlStore(newer, PLATFORM), "second")
    assert [run.number for run in SqlStore(newer, PLATFORM).runs()] == [1, 2]


def test_a_newer_one_is_refused(address: str) -> None:
    """By all that reads or writes, in one line, and it stays as it is."""
    save(SqlStore(with_steps(address, MORE), PLATFORM))
    before = columns(database_at(address, Path()))
    store = at(address)
    line = (
        f"{store.described.partition(' of ')[2]} was set up by a newer pytest-memperf "
        f"(version {len(MORE)}, known here is up to {len(STEPS)}): update it"
    )
    for action in (store.runs, lambda: store.of_test([1], "x"), lambda: save(store)):
        with pytest.raises(UsageMistake) as mistake:
            action()
        assert str(mistake.value) == line
    assert columns(database_at(address, Path())) == before


def test_a_step_that_fails_leaves_nothing(address: str) -> None:
    """The tables are those from before, with the runs in them, and an older version goes on with these."""
    save(at(address), "first")
    before = columns(database_at(address, Path()))
    broken = with_steps(address, (*STEPS, (*MORE[-1], "CREATE TABLE memperf_more (id {key})")))
    with pytest.raises(UsageMistake, match=r"cannot be upgraded \(.*already exists[^\n]*$"):
        SqlStore(broken, PLATFORM).runs()
    assert columns(database_at(address, Path())) == before
    assert [run.head.name for run in at(address).runs()] == ["first"]


UPGRADER = """
import sys
from pathlib import Path
sys.path.append(sys.argv[1])
from test_migrations import MORE, with_steps
from stored import PLATFORM, save
from pytest_memperf.baseline.sql.store import SqlStore
store = SqlStore(with_steps(sys.argv[2], MORE), PLATFORM)
sys.stdin.readline()
print(save(store, sys.argv[3]))
"""


@pytest.mark.parametrize("made", [False, True])
def test_many_begin_at_once(address: str, made: bool) -> None:
    """8 processes find a database without tables, or an older one: it is brought up once, and every run is there."""
    if made:
        save(at(address), "older")
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", UPGRADER, str(Path(__file__).parent), address, f"job{number}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for number in range(8)
    ]  # fmt: skip
    for job in jobs:
        assert job.stdin is not None
        job.stdin.write("\n")
        job.stdin.flush()
    assert [job.communicate(timeout=120)[1] for job in jobs] == [""] * 8
    runs = SqlStore(with_steps(address, MORE), PLATFORM).runs()
    assert [run.number for run in runs] == list(range(1, 9 + made))
    assert {run.head.name for run in runs} == {f"job{number}" for number in range(8)} | ({"older"} if made else set())


def test_version_1_is_read_for_ever(tmp_path: Path) -> None:
    """A database that the first version wrote, with two runs of it; new ones are added."""
    connection = sqlite3.connect(tmp_path / "runs.db")
    connection.executescript(FROZEN.read_text())
    connection.close()
    store = at(f"sqlite:///{tmp_path}/runs.db")
    assert [(run.number, run.head.name, len(run.read().results)) for run in store.runs()] == [
        (1, "first", 2),
        (2, None, 1),
    ]
    ((_, run),) = store.of_test([2], "test_it.py::test_it").runs
    assert run.results[0].metrics["minor_faults"].samples == (700, 702)
    assert run.environment.kernel == "6.18.1"
    assert save(store).startswith("run 0003 ")


def test_tables_of_others_stay(address: str) -> None:
    """A database may serve more than this."""
    engine: Any = database_at(address, Path())._engine
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE version (version TEXT)"))
        connection.execute(sqlalchemy.text("INSERT INTO version VALUES ('mine')"))
    save(at(address))
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT version FROM version")).scalar_one() == "mine"
