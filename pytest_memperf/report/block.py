"""The block of results at the end of a session: one table, then each reason and note once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_memperf.metrics import Registry
from pytest_memperf.model.budget import Status
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import Unit
from pytest_memperf.report.budgets import COLOURS
from pytest_memperf.report.columns import Column, column_of
from pytest_memperf.report.rows import Row
from pytest_memperf.report.table import Cell, align, shorten

NARROWEST = 24
"""Characters of a test's name that stay even where the table is then too wide for the terminal."""


def result_table(
    rows: Sequence[Row], names: Sequence[str], registry: Registry, units: Mapping[str, Unit], width: int | None
) -> list[list[Cell]]:
    """Return the table: the names of the columns, their units, then the rows.

    Args:
        names: the metrics to show.
        width: shorten the tests' names so that the table fits; None for full names.
    """
    columns = [
        column_of(
            name,
            units.get(name) or registry[name].unit,
            [row.values[name] for row in rows if name in row.values],
        )
        for name in names
        if name in units or name in registry
    ]
    keys = [
        attribute
        for attribute, usual in (("window", "call"), ("isolation", "inline"), ("allocator", None))
        if len({getattr(row, attribute) for row in rows} | ({usual} - {None})) > 1
    ]
    budgets = any(row.checks for row in rows)
    head = ["test", *keys, *(["budgets"] if budgets else []), *(column.name for column in columns)]
    scales = ["", *([""] * (len(head) - len(columns) - 1)), *(column.scale for column in columns)]
    body = [
        [
            Cell(row.test),
            *(Cell(getattr(row, attribute)) for attribute in keys),
            *([_budgets(row)] if budgets else []),
            *(_value(row, column) for column in columns),
        ]
        for row in rows
    ]
    table = [[Cell(text, {"bold": True}) for text in head], [Cell(text) for text in scales], *body]
    if width is not None:
        rest = sum(2 + max(len(row[column].text) for row in table) for column in range(1, len(head)))
        room = max(NARROWEST, width - rest)
        table = [[Cell(shorten(row[0].text, room), row[0].markup), *row[1:]] for row in table]
    if not any(scales):
        del table[1]
    return align(table, left=range(1 + len(keys)))


def _budgets(row: Row) -> Cell:
    worst = row.worst
    return Cell("-") if worst is None else Cell(f"{row.checks[worst]} {worst.value}", COLOURS[worst])


def _value(row: Row, column: Column) -> Cell:
    verdict = row.verdicts.get(column.name)
    return Cell(column.text(row.values.get(column.name)), COLOURS[verdict] if verdict else {})


class Remarks:
    """What the results say in words, each once, with how many results say it."""

    def __init__(self) -> None:
        self._unchecked: dict[tuple[str, str], int] = {}
        self._unavailable: dict[str, dict[str, None]] = {}
        self._notes: dict[str, list[str | int]] = {}

    def add(self, result: Result) -> None:
        """Take the reasons and notes of a result."""
        for check in result.checks:
            if check.status is Status.UNCHECKED:
                key = (check.budget.keyword, check.reason)
                self._unchecked[key] = self._unchecked.get(key, 0) + 1
        for note in result.notes:
            seen = self._notes.setdefault(note, [result.test, 0])
            seen[1] = int(seen[1]) + 1

    def add_unavailable(self, row: Row) -> None:
        """Take the reasons for what a row of the table lacks."""
        for name, reason in row.unavailable.items():
            self._unavailable.setdefault(reason, {})[name] = None

    def lines(self, limit: int | None) -> list[str]:
        """Return a line each, unchecked budgets first; at most ``limit`` of a kind."""
        unchecked = [
            f"{keyword} was not checked{_times(count)}: {reason}"
            for (keyword, reason), count in self._unchecked.items()
        ]
        told = {(keyword.partition("_")[2], reason) for keyword, reason in self._unchecked}
        unavailable = [
            f"{', '.join(untold)} unavailable: {reason}"
            for reason, names in self._unavailable.items()
            if (untold := [name for name in names if (name, reason) not in told])
        ]
        notes = [
            f"note: {note} ({test}{f' and {int(count) - 1:,} more' if int(count) > 1 else ''})"
            for note, (test, count) in self._notes.items()
        ]
        lines: list[str] = []
        for kind in (unchecked, unavailable, notes):
            lines += kind[:limit]
            if limit is not None and len(kind) > limit:
                lines.append(f"... and {len(kind) - limit:,} more such lines (-v)")
        return lines


def counted(count: int, noun: str) -> str:
    """Return ``"1 result"`` or ``"2,048 results"``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _times(count: int) -> str:
    return f" in {counted(count, 'result')}" if count > 1 else ""
