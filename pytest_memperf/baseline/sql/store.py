"""Saved runs as rows: ``head`` and ``tail`` of a run and each of its results are the JSON that a file would hold."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, delete, select

from pytest_memperf.baseline.file_store import run_name
from pytest_memperf.baseline.sql.batches import batches
from pytest_memperf.baseline.sql.database import Database
from pytest_memperf.baseline.sql.names import storable
from pytest_memperf.baseline.sql.of_tests import results_of
from pytest_memperf.baseline.sql.schema import PLATFORM, RESULT, RUN
from pytest_memperf.baseline.sql.writing import RunRows
from pytest_memperf.baseline.store import OfTest
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import FORMAT, Result
from pytest_memperf.model.run import Run
from pytest_memperf.report import checksum
from pytest_memperf.report.result_lines import WRONG

_LISTED = (RUN.c.id, RUN.c.number, RUN.c.head)


@dataclass(frozen=True, slots=True)
class SavedRows:
    """A run of a database; its results are read when they are asked for."""

    number: int
    described: str
    _id: int
    _head: str
    _database: Database = field(repr=False)

    @property
    def name(self) -> str:
        """What its file would be called; the number alone where the head is damaged."""
        try:
            return run_name(self.number, self.head)
        except UsageMistake:
            return f"{self.number:04}"

    @property
    def saved_at(self) -> datetime.datetime:
        """When its session began; the end of time where that is not known."""
        try:
            return datetime.datetime.fromisoformat(self.head.created.replace("Z", "+00:00")).astimezone(
                datetime.timezone.utc
            )
        except (ValueError, OverflowError):
            return datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)

    @property
    def head(self) -> Run:
        """The run without results and environment. UsageMistake for a damaged one."""
        return self._run({})

    def read(self) -> Run:
        """Return all of it. UsageMistake for a damaged one."""
        tail, results = self._rest()
        run = self.whole(tail, results)
        self._checked(tail, results)
        return run

    def whole(self, tail: str, results: Sequence[str]) -> Run:
        """Return it with what it has besides, as JSON. UsageMistake for a damaged one."""
        try:
            run = self._run(json.loads(tail))
            return replace(run, results=[Result.from_json(json.loads(result)) for result in results])
        except UsageMistake:
            raise
        except WRONG as error:
            raise self._damaged(error) from error

    def document(self) -> dict[str, Any]:
        """Return all of it as plain JSON data. UsageMistake for a damaged one."""
        tail, results = self._rest()
        self.whole(tail, results)
        rest = self._checked(tail, results)
        return {**json.loads(self._head), "results": [*map(json.loads, results)], **rest}

    def remove(self) -> None:
        """Delete it; one that somebody else has deleted is gone. UsageMistake where it cannot be."""
        with self._database.writing() as connection:
            connection.execute(delete(RESULT).where(RESULT.c.run_id == self._id))
            connection.execute(delete(RUN).where(RUN.c.id == self._id))

    def _rest(self) -> tuple[str, Sequence[str]]:
        """Return the tail and the results. UsageMistake where a result has no place."""
        with self._database.reading() as connection:
            tail: str | None = None
            if connection is not None:
                tail = connection.execute(select(RUN.c.tail).where(RUN.c.id == self._id)).scalar()
            if connection is None or tail is None:
                raise UsageMistake(f"{self.described} is gone: somebody has deleted it meanwhile")
            query = select(RESULT.c.place, RESULT.c.data).where(RESULT.c.run_id == self._id)
            rows = [(place, data) for place, data in connection.execute(query)]
        try:
            return tail, [data for _, data in sorted(rows)]
        except TypeError as error:  # sqlite keeps whatever it finds in a damaged file
            raise self._damaged(error) from error

    def _checked(self, tail: str, results: Sequence[str]) -> dict[str, Any]:
        """Return the tail without the checksum. UsageMistake where these are not the rows that it is of."""
        rest: dict[str, Any] = json.loads(tail)
        expected = rest.pop(checksum.NAME, None)
        if expected not in (None, checksum.checksum_of([*results, self._head, json.dumps(rest)])):
            raise self._damaged("its checksum is of other rows")
        return rest

    def _run(self, tail: Mapping[str, Any]) -> Run:
        try:
            head = json.loads(self._head)
            if head["format"] == FORMAT:
                return Run.from_json({**head, **tail})
        except WRONG as error:
            raise self._damaged(error) from error
        raise UsageMistake(f"{self.described} was written by a newer pytest-memperf ({head['format']}): update it")

    def _damaged(self, error: Exception | str) -> UsageMistake:
        reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        return UsageMistake(f"{self.described} is damaged ({reason}): save it again, and let memperf prune delete it")


class SqlStore:
    """The runs of one project on one platform, in a database.

    Any number of sessions may save at once: each in a transaction of its own, which takes its number last.
    """

    def __init__(self, database: Database, platform: str) -> None:
        self.platform = platform
        self._database = database

    @property
    def described(self) -> str:
        """The platform and the address."""
        return f"{self.platform} of {self._database.described}"

    def runs(self) -> list[SavedRows]:
        """Return the runs of the platform, the oldest first. UsageMistake where the database cannot be read."""
        query = select(*_LISTED).where(self._of_platform()).order_by(RUN.c.number)
        with self._database.reading() as connection:
            return [self._saved(*row) for row in connection.execute(query)] if connection is not None else []

    def of_test(self, numbers: Sequence[int], test: str) -> OfTest:
        """Return runs with the results of the test of this id; where none has that, of tests with it in their ids.

        UsageMistake where the database cannot be read; a run that was deleted meanwhile is left out.
        """
        saved: dict[int, Any] = {}
        found: Mapping[int, Sequence[str]] = {}
        with self._database.reading() as connection:
            if connection is not None:
                for some in batches(numbers):
                    query = select(*_LISTED, RUN.c.tail).where(self._of_platform(), RUN.c.number.in_(some))
                    saved.update((row.number, row) for row in connection.execute(query))
                found = results_of(connection, [row.id for row in saved.values()], test)
        runs: list[tuple[int, Run]] = []
        remarks = []
        for number in numbers:
            if number not in saved:
                continue
            id, _, head, tail = saved[number]
            try:
                run = self._saved(id, number, head).whole(tail, found.get(id, ()))
            except UsageMistake as mistake:
                remarks.append(str(mistake))
            else:
                runs.append((number, replace(run, results=[each for each in run.results if test in each.test])))
        return OfTest(runs, remarks)

    def save(self, run: Run, head: Mapping[str, Any] | None = None) -> RunRows:
        """Return what the results of a run go to, which becomes a run of the store when it is finished.

        UsageMistake where that is bound to fail.

        Args:
            head: what the document begins with, where that says more than the run.
        """
        self._database.check_writable()
        return RunRows(self._database, self.platform, run.head if head is None else head)

    def _of_platform(self) -> ColumnElement[bool]:
        name = storable(self.platform)
        return RUN.c.platform_id == select(PLATFORM.c.id).where(PLATFORM.c.name == name).scalar_subquery()

    def _saved(self, id: int, number: int, head: str) -> SavedRows:
        return SavedRows(number, f"run {number:04} of {self.described}", id, head, self._database)


def sql_stores(database: Database) -> list[SqlStore]:
    """Return the store of each platform that has runs in the database."""
    with database.reading() as connection:
        if connection is None:
            return []
        names = connection.execute(select(PLATFORM.c.name).order_by(PLATFORM.c.name)).scalars()
        return [SqlStore(database, name) for name in names]
