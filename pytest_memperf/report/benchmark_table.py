"""Memory right below pytest-benchmark's table, whose own columns are fixed: the same tests in its groups and order."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pytest

from pytest_memperf.isolation.benchmark import EXTRA_INFO, session_of
from pytest_memperf.measure.measurement import MEASURED_CALL
from pytest_memperf.metrics.session import registry_of
from pytest_memperf.model.metric import Measured
from pytest_memperf.model.result import Result, metrics_from_json
from pytest_memperf.model.units import SECONDS, Unit
from pytest_memperf.report.block import result_table
from pytest_memperf.report.columns import chosen_columns, default_names
from pytest_memperf.report.plural import counted
from pytest_memperf.report.rows import row_of
from pytest_memperf.report.table import Cell, column_widths, printable, write_rows

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

Group = tuple["str | None", list[Mapping[str, Any]]]
"""A group of its table: the name, and the rows in its order; ``name`` in each is what it shows, once it has."""


def register_below(config: pytest.Config, wanted: Collection[str]) -> None:
    """Have pytest-benchmark's table be followed by ours; where it has none, or is not there, by nothing.

    Args:
        wanted: the metrics that tests have asked for, or have budgets on; more of them until the session's end.
    """
    session = session_of(config)
    if session is None:
        return
    below = _Below(config, session, wanted)
    display = session.display

    def display_both(reporter: TerminalReporter) -> None:
        groups = [] if session.quiet else list(_groups(session))
        try:
            display(reporter)
        finally:  # it raises where a comparison of its own fails, with the table on the screen
            below.write(reporter, groups)

    session.display = display_both


def _groups(session: Any) -> Iterator[Group]:
    for name, benchmarks in session.groups or ():
        yield name, sorted(benchmarks, key=itemgetter(session.sort))


class _Below:
    """Our table."""

    def __init__(self, config: pytest.Config, session: Any, wanted: Collection[str]) -> None:
        self._registry = registry_of(config)
        self._columns = chosen_columns(config)
        self._session = session
        self._wanted = wanted

    def write(self, reporter: TerminalReporter, groups: Sequence[Group]) -> None:
        """Write a table for each group that has a measured test, all with the same columns."""
        measured = {id(row): self._metrics(row) for _, rows in groups for row in rows}
        units: dict[str, Unit] = {}
        tables = [
            (name, [row_of(self._result(row["name"], measured[id(row)]), units) for row in rows])
            for name, rows in groups
            if any(measured[id(row)] for row in rows)
        ]
        all_rows = [row for _, rows in tables for row in rows]
        names = self._columns
        if names is None:  # its own table has the times
            names = [
                name
                for name in default_names(all_rows, self._registry)
                if name in units and units[name].name != SECONDS.name
            ]
        for group, rows in tables:
            table, _ = result_table(rows, names, self._registry, units, None)
            table[0][0] = Cell("Name".ljust(len(table[0][0].text)))
            title = f" memperf{'' if group is None else f' {group!r}'}: {counted(len(rows), 'test')} "
            width = sum(column_widths(table)) + 2 * (len(table[0]) - 1)
            reporter.write_line("")
            reporter.write_line(title.center(max(width, len(title) + 2), "-"), yellow=True)
            write_rows(reporter.write, table)

    def _metrics(self, row: Mapping[str, Any]) -> Mapping[str, Measured]:
        """Return what was measured beside a row: in this run, or in the earlier one that the row is of."""
        of: Any = row
        if row["path"] is not None:
            saved = {str(path): benchmarks for path, benchmarks in self._session.compared_mapping.items()}
            of = saved[row["path"]][row["fullname"]]
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):  # written by another version
            return metrics_from_json(of["extra_info"][EXTRA_INFO][MEASURED_CALL])
        return {}

    def _result(self, name: str, metrics: Mapping[str, Measured]) -> Result:
        """Return the metrics as a result."""
        return Result(printable(name), "call", metrics=metrics, requested=tuple(self._wanted))
