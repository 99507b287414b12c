"""What is asked of a database goes by its indexes, at any size: EXPLAIN says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import event
from stored import PLATFORM, at, save

from pytest_memperf.baseline.sql.address import database_at
from pytest_memperf.baseline.sql.database import Database
from pytest_memperf.baseline.sql.names import digest
from pytest_memperf.baseline.sql.store import SqlStore

RUNS = 200
TESTS = 500
LARGE = ("memperf_test", "memperf_result")


def fill(address: str) -> None:
    """Make a database of 200 runs of 500 tests, of two platforms; its planner has seen them."""
    save(at(address))
    save(at(address, "Linux-other"))
    names = [f"tests/test_it.py::test_it[{number}]" for number in range(TESTS)]
    runs = [{"platform": 1 + run % 2, "number": 2 + run // 2} for run in range(RUNS)]
    with database_at(address, Path()).writing() as connection:
        for statement, rows in (
            (
                "INSERT INTO memperf_test (digest, name) VALUES (:digest, :name)",
                [{"digest": digest(name), "name": name} for name in names],
            ),
            (
                "INSERT INTO memperf_run (platform_id, number, head, tail) VALUES (:platform, :number, '{}', '{}')",
                runs,
            ),
            ("UPDATE memperf_platform SET last = :last", [{"last": 1 + RUNS // 2}]),
            (
                "INSERT INTO memperf_result SELECT memperf_run.id, memperf_test.id, 1, :data "
                "FROM memperf_run CROSS JOIN memperf_test WHERE number > 1",
                [{"data": "x" * 200}],
            ),
            ("ANALYZE", [{}]),
        ):
            connection.execute(sqlalchemy.text(statement), rows)


def asked(database: Database, action: Callable[[], object]) -> list[tuple[str, Any]]:
    """Return the statements on our tables that an action sends, with their values."""
    found: list[tuple[str, Any]] = []

    def keep(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        if "memperf_" in statement and "to_regclass" not in statement and "sqlite_master" not in statement:
            found.append((statement, values[0] if many else values))

    event.listen(database._engine, "before_cursor_execute", keep)
    action()
    event.remove(database._engine, "before_cursor_execute", keep)
    return found


def scanned(database: Database, statement: str, values: Any) -> set[str]:
    """Return the tables of which the plan of a statement reads every row."""
    sqlite = database.file is not None
    with database.reading() as connection:
        assert connection is not None
        lines = connection.exec_driver_sql(f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{statement}", values).all()
    plan = [str(line[-1]).strip() for line in lines]
    word = "SCAN " if sqlite else "Seq Scan on "
    return {table for table in LARGE for line in plan if f"{word}{table}" in line and "USING INDEX" not in line}


@pytest.fixture
def database(address: str) -> Database:
    """Return one with much in it."""
    fill(address)
    return database_at(address, Path())


def test_no_question_reads_every_result(database: Database) -> None:
    """History by an id and by a part of one, a run read, saved and deleted; of the part alone all names are read."""
    store = SqlStore(database, PLATFORM)
    run = store.runs()[7]
    seen: dict[str, set[str]] = {}
    for name, action in {
        "history": lambda: store.of_test(range(52, 102), "tests/test_it.py::test_it[77]"),
        "a part": lambda: store.of_test(range(52, 102), "[77]"),
        "read": run._rest,
        "save": lambda: save(store),
        "remove": run.remove,
    }.items():
        statements = asked(database, action)
        assert any("memperf_result" in statement for statement, _ in statements), name
        seen[name] = {table for statement in statements for table in scanned(database, *statement)}
    assert seen == {"history": set(), "a part": {"memperf_test"}, "read": set(), "save": set(), "remove": set()}


def test_a_history_goes_by_the_key(database: Database) -> None:
    """Its plan names it, in either engine."""
    store = SqlStore(database, PLATFORM)
    *_, (statement, values) = asked(database, lambda: store.of_test(range(52, 102), "tests/test_it.py::test_it[77]"))
    with database.reading() as connection:
        assert connection is not None
        explain = "EXPLAIN QUERY PLAN" if database.file else "EXPLAIN"
        plan = "\n".join(str(line[-1]) for line in connection.exec_driver_sql(f"{explain} {statement}", values))
    wanted = {
        True: "SEARCH memperf_result USING INDEX sqlite_autoindex_memperf_result_1 (run_id=? AND test_id=?)",
        False: "Scan using memperf_result_pkey on memperf_result",
    }
    assert wanted[database.file is not None] in plan.replace("Bitmap Index Scan on memperf_result_pkey", wanted[False])
