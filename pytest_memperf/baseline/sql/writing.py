"""A run on its way into a database: kept aside while the tests run, saved in one transaction at the end."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pytest_memperf.baseline.sql.batches import batches
from pytest_memperf.baseline.sql.database import Database
from pytest_memperf.baseline.sql.names import digest, storable
from pytest_memperf.baseline.sql.schema import PLATFORM, RESULT, RUN, TEST
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import FORMAT
from pytest_memperf.report import checksum


class RunRows:
    """A run of the store while it is made. It gets its number last, so that there are no gaps."""

    def __init__(self, database: Database, platform: str, head: Mapping[str, Any]) -> None:
        self.path = database.described
        self._database = database
        self._platform = platform
        self._head = head
        self._tests: dict[str, str] = {}
        self._sum = checksum.Checksum()
        self._spool: BinaryIO | None = None

    def add(self, result: Mapping[str, Any]) -> None:
        """Keep a result aside: in a file without a name, so that no memory of the tests' process is needed for it."""
        line = _json(result)
        self._sum.add(line.encode())
        test = digest(result["test"])
        self._tests[test] = result["test"]
        if self._spool is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115  closed by abandon
        self._spool.write(f"{test} {line}\n".encode("ascii"))
        self._spool.flush()  # a test that forks must not write it a second time

    def finish(self, tail: Mapping[str, Any]) -> None:
        """Save all of it. UsageMistake where that fails; nothing is there then."""
        try:
            number = self._saved(tail)
        finally:
            self.abandon()
        self.path = f"run {number:04} of {self._platform} of {self._database.described}"

    def abandon(self) -> None:
        """Forget what was kept aside."""
        spool, self._spool = self._spool, None
        if spool is not None:
            with contextlib.suppress(OSError):  # it would write what it could not write before
                spool.close()

    def cannot_be_written(self, error: OSError) -> UsageMistake:
        """Return the error of another method as one line with its mend."""
        return UsageMistake(
            f"{tempfile.gettempdir()} cannot be written ({error.strerror}): "
            "free some space, or name another folder by TMPDIR"
        )

    def _saved(self, tail: Mapping[str, Any]) -> int:
        """Save the run and return its number."""
        with self._database.writing() as connection:
            platform = _id_of_platform(connection, storable(self._platform))
            head = _json({"format": FORMAT, **self._head})
            for text in (head, _json(tail)):
                self._sum.add(text.encode())
            summed = _json({**tail, checksum.NAME: str(self._sum)})
            row = connection.execute(insert(RUN).values(platform_id=platform, head=head, tail=summed))
            assert row.inserted_primary_key is not None
            run = row.inserted_primary_key[0]
            tests = _ids_of_tests(connection, self._tests)
            for rows in batches(self._rows(run, tests)):
                connection.execute(insert(RESULT), rows)
            number = _next_number(connection, platform)
            connection.execute(update(RUN).where(RUN.c.id == run).values(number=number))
        return number

    def _rows(self, run: int, tests: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        if self._spool is None:
            return
        self._spool.seek(0)
        for place, line in enumerate(self._spool):
            test, _, data = line.decode("ascii").rstrip("\n").partition(" ")
            yield {"run_id": run, "place": place, "test_id": tests[test], "data": data}


def _json(data: Mapping[str, Any]) -> str:
    # In ASCII: any database can hold that, whatever its encoding. default: as in a file of results.
    return json.dumps(data, allow_nan=False, default=float)


def _id_of_platform(connection: Connection, name: str) -> int:
    query = select(PLATFORM.c.id).where(PLATFORM.c.name == name)
    found: int | None = connection.execute(query).scalar()
    if found is None:
        _add_missing(connection, PLATFORM, [{"name": name, "last": 0}])
        found = connection.execute(query).scalar_one()
    return found


def _ids_of_tests(connection: Connection, tests: Mapping[str, str]) -> dict[str, int]:
    """Return the row of each test by its digest; those that are new get one."""
    found = _known(connection, list(tests))
    # In one order for all: two savers with new tests would else wait for each other.
    new = sorted(tests.keys() - found.keys())
    for batch in batches(new):
        _add_missing(connection, TEST, [{"digest": each, "name": storable(tests[each])} for each in batch])
    return {**found, **_known(connection, new)}


def _known(connection: Connection, digests: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for batch in batches(digests):
        rows = connection.execute(select(TEST.c.digest, TEST.c.id).where(TEST.c.digest.in_(batch)))
        found.update((digest, id) for digest, id in rows)
    return found


def _add_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add the rows, but those that somebody else has added meanwhile."""
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), rows)
    else:
        connection.execute(postgresql.insert(table).on_conflict_do_nothing(), rows)


def _next_number(connection: Connection, platform: int) -> int:
    """Return the number after the last one; whoever else wants one waits for the end of this transaction."""
    row = PLATFORM.c.id == platform
    connection.execute(update(PLATFORM).where(row).values(last=PLATFORM.c.last + 1))
    return int(connection.execute(select(PLATFORM.c.last).where(row)).scalar_one())
