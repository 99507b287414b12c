"""The same test under several libraries for malloc: the figures of the first, the others as ratios to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_memperf.model.result import Result
from pytest_memperf.model.units import Number, Unit
from pytest_memperf.report.columns import column_of
from pytest_memperf.report.table import Cell, align, printable

_Results = dict[str, Result]
"""By the library."""


class SideBySide:
    """Gathers the results of tests that run under several."""

    def __init__(self) -> None:
        self._tests: dict[tuple[str, ...], dict[tuple[str, str], _Results]] = {}
        """By the libraries, then by test and window."""

    def add(self, result: Result, among: Sequence[str]) -> None:
        """Take a result.

        Args:
            among: the libraries that its test runs under.
        """
        test = without_name(result.test, result.allocator)
        tests = self._tests.setdefault(tuple(among), {})
        tests.setdefault((test, result.window), {})[result.allocator] = result

    def tables(self, names: Sequence[str]) -> Iterator[list[list[Cell]]]:
        """Yield a table for each choice of libraries, of the tests that ran under at least two of them.

        Args:
            names: the metrics to show.
        """
        for among, tests in self._tests.items():
            shown = {place: results for place, results in sorted(tests.items()) if len(results) > 1}
            keys = ["test", "window"] if {window for _, window in shown} - {"call"} else ["test"]
            rows = [
                [*(place if number == 0 else ("", ""))[: len(keys)], *row]
                for place, results in shown.items()
                for number, row in enumerate(_rows(results, among, names))
            ]
            if rows:
                head = [Cell(text, {"bold": True}) for text in (*keys, "metric", *among)]
                table = [head, *([Cell(printable(text)) for text in row] for row in rows)]
                yield align(table, left=range(len(keys) + 1))


def _rows(results: Mapping[str, Result], among: Sequence[str], names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the metrics that the results have, each with its figures."""
    for name in names:
        measured = [results[library].metrics.get(name) if library in results else None for library in among]
        values = [None if each is None else each.value for each in measured]
        unit = next((each.metric.unit for each in measured if each is not None), None)
        if unit is not None:
            yield [name, *_figures(values, unit)]


def _figures(values: Sequence[Number | None], unit: Unit) -> Iterator[str]:
    """Yield the first value that there is in its unit, the others as ratios to it; all in the unit where it is 0."""
    first, base = next((place, value) for place, value in enumerate(values) if value is not None)
    for place, value in enumerate(values):
        if value is None:
            yield "-"
        elif place == first or not base:
            column = column_of("", unit, [value])
            yield f"{column.text(value)} {column.scale}".rstrip()
        else:
            yield f"{value / base:,.2f} x"


def without_name(test: str, library: str) -> str:
    """Return the test's id without the library, which is the last of its parameters."""
    for end, kept in ((f"-{library}]", "]"), (f"[{library}]", "")):
        if test.endswith(end):
            return test.removesuffix(end) + kept
    return test
