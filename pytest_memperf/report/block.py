"""The block of results at the end of a session: one table, then each reason and note once."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from pytest_memperf.metrics import Registry
from pytest_memperf.model.budget import Status
from pytest_memperf.model.result import Result
from pytest_memperf.model.units import Unit
from pytest_memperf.report.budgets import COLOURS
from pytest_memperf.report.columns import Column, column_of
from pytest_memperf.report.rows import Row
from pytest_memperf.report.table import Cell, align, column_widths, printable, shorten

NARROWEST = 16
"""Characters of a name that stay: rather than more of it, a column is left out."""


def result_table(
    rows: Sequence[Row], names: Sequence[str], registry: Registry, units: Mapping[str, Unit], width: int | None
) -> tuple[list[list[Cell]], list[str]]:
    """Return the table (the names of the columns, their units, then the rows) and the metrics that had no room.

    Args:
        names: the metrics to show.
        width: shorten names and leave metrics out so that the table fits; None for all of it.
    """
    columns = [
        column_of(
            name,
            units.get(name) or registry[name].unit,
            [row.values[name] for row in rows if name in row.values],
            [row.uncertainties[name] for row in rows if name in row.uncertainties],
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
    first = ["test", *keys, *(["budgets"] if budgets else [])]
    head = [*first, *(printable(column.name) for column in columns)]
    scales = [*([""] * len(first)), *(printable(column.scale) for column in columns)]
    body = [
        [
            Cell(printable(row.test)),
            *(Cell(printable(getattr(row, attribute))) for attribute in keys),
            *([_budgets(row)] if budgets else []),
            *(_value(row, column) for column in columns),
        ]
        for row in rows
    ]
    table = [[Cell(text, {"bold": True}) for text in head], [Cell(text) for text in scales], *body]
    left_out: list[str] = []
    if width is not None:
        judged = {len(first) + number for number, name in enumerate(names) if any(name in row.verdicts for row in rows)}
        dropped = _without_room(table, len(first), judged, width)
        left_out = [head[column] for column in sorted(dropped)]
        kept = [column for column in range(len(head)) if column not in dropped]
        table = _with_short_names([[row[column] for column in kept] for row in table], ("window" in keys) + 1, width)
    if not any(cell.text for cell in table[1]):
        del table[1]
    return align(table, left=range(1 + len(keys))), left_out


def _without_room(table: Sequence[Sequence[Cell]], first: int, judged: Container[int], width: int) -> set[int]:
    """Return the metrics to leave out: the last ones, those without a budget before others."""
    widths = [min(NARROWEST, each) if column < 2 else each for column, each in enumerate(column_widths(table))]
    kept = sorted(range(first, len(widths)), key=lambda column: (column not in judged, column))
    dropped: set[int] = set()
    while kept and sum(widths) + 2 * (len(widths) - 1 - len(dropped)) > width:
        dropped.add(kept[-1])
        widths[kept.pop()] = 0
    return dropped


def _with_short_names(table: list[list[Cell]], names: int, width: int) -> list[list[Cell]]:
    """Return the table with its first columns, one or two, in the room that the others leave them."""
    widths = column_widths(table)
    room = width - sum(2 + each for each in widths[names:]) - 2 * (names - 1)
    longest = max(widths[:names])
    while longest > NARROWEST and sum(min(longest, each) for each in widths[:names]) > room:
        longest -= 1
    return [[*(Cell(shorten(cell.text, longest), cell.markup) for cell in row[:names]), *row[names:]] for row in table]


def _budgets(row: Row) -> Cell:
    worst = row.worst
    return Cell("-") if worst is None else Cell(f"{row.checks[worst]} {worst.value}", COLOURS[worst])


def _value(row: Row, column: Column) -> Cell:
    verdict = row.verdicts.get(column.name)
    text = column.text(row.values.get(column.name), row.uncertainties.get(column.name, 0))
    return Cell(text, COLOURS[verdict] if verdict else {})


class _Seen:
    """The first result that says something, and how many more do."""

    __slots__ = ("more", "place")

    def __init__(self, result: Result) -> None:
        self.place = result.place
        self.more = -1

    def __str__(self) -> str:
        return f"{self.place} and {self.more:,} more" if self.more else self.place


class Remarks:
    """What the results say in words, each once, with the first result that says it and how many more do."""

    def __init__(self) -> None:
        self._unchecked: dict[tuple[str, str], _Seen] = {}
        self._unavailable: dict[str, dict[str, None]] = {}
        self._notes: dict[str, _Seen] = {}

    def add(self, result: Result) -> None:
        """Take the reasons and notes of a result."""
        for check in result.checks:
            if check.status is Status.UNCHECKED:
                key = (check.budget.keyword, check.reason)
                self._unchecked.setdefault(key, _Seen(result)).more += 1
        for note in result.notes:
            self._notes.setdefault(note, _Seen(result)).more += 1

    def add_unavailable(self, row: Row) -> None:
        """Take the reasons for what a row of the table lacks."""
        for name, reason in row.unavailable.items():
            self._unavailable.setdefault(reason, {})[name] = None

    def lines(self, limit: int | None) -> list[str]:
        """Return a line each, unchecked budgets first; at most ``limit`` of a kind."""
        unchecked = [
            f"{keyword} was not checked in {seen}: {reason}" for (keyword, reason), seen in self._unchecked.items()
        ]
        told = {(keyword.partition("_")[2], reason) for keyword, reason in self._unchecked}
        unavailable = [
            f"{', '.join(untold)} unavailable: {reason}"
            for reason, names in self._unavailable.items()
            if (untold := [name for name in names if (name, reason) not in told])
        ]
        notes = [f"note: {note} ({seen})" for note, seen in self._notes.items()]
        lines: list[str] = []
        for kind in (unchecked, unavailable, notes):
            lines += kind[:limit]
            if limit is not None and len(kind) > limit:
                lines.append(f"... and {len(kind) - limit:,} more such lines (-v)")
        return [printable(line) for line in lines]
