"""The same test under several libraries for malloc: the figures of the first, the others as ratios to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pytest_memperf.model.result import Result
from pytest_memperf.model.units import Number, Unit
from pytest_memperf.report.columns import column_of
from pytest_memperf.report.plural import counted
from pytest_memperf.report.table import Cell, align, printable


class _Figure(NamedTuple):
    value: Number
    unit: Unit


_Figures = Mapping[str, Mapping[str, _Figure]]
"""By library and metric."""


class SideBySide:
    """Gathers the results of tests that run under several."""

    def __init__(self) -> None:
        self._tests: dict[tuple[str, ...], dict[tuple[str, str], dict[str, dict[str, _Figure]]]] = {}
        """By the libraries, then by test and window."""

    def add(self, result: Result, among: Sequence[str]) -> None:
        """Take a result.

        Args:
            among: the libraries that its test runs under.
        """
        test = without_name(result.test, result.allocator)
        tests = self._tests.setdefault(tuple(among), {})
        tests.setdefault((test, result.window), {})[result.allocator] = {
            name: _Figure(measured.value, measured.metric.unit) for name, measured in result.metrics.items()
        }

    def tables(self, names: Sequence[str], limit: int | None) -> Iterator[tuple[list[list[Cell]], str]]:
        """Yield a table for each choice of libraries, of the tests that ran under at least two, and what it left out.

        Args:
            names: the metrics to show.
            limit: how many windows of tests a table shows; None for all.
        """
        for among, tests in self._tests.items():
            several = {place: figures for place, figures in sorted(tests.items()) if len(figures) > 1}
            shown = dict([*several.items()][:limit])
            keys = ["test", "window"] if {window for _, window in shown} - {"call"} else ["test"]
            rows = [
                [*(place if number == 0 else ("", ""))[: len(keys)], *row]
                for place, figures in shown.items()
                for number, row in enumerate(_rows(figures, among, names))
            ]
            if rows:
                head = [Cell(text, {"bold": True}) for text in (*keys, "metric", *among)]
                table = [head, *([Cell(printable(text)) for text in row] for row in rows)]
                more = len(several) - len(shown)
                left_out = f"... and {counted(more, 'more test')}: -v shows all" if more else ""
                yield align(table, left=range(len(keys) + 1)), left_out


def _rows(figures: _Figures, among: Sequence[str], names: Sequence[str]) -> Iterator[list[str]]:
    """Yield the metrics that there are, each with the texts of its figures."""
    for name in names:
        found = [figures.get(library, {}).get(name) for library in among]
        if any(found):
            yield [name, *_texts(found)]


def _texts(figures: Sequence[_Figure | None]) -> Iterator[str]:
    """Yield the first figure that there is in its unit, the others as ratios to it; all in the unit where it is 0."""
    first, base = next((place, figure) for place, figure in enumerate(figures) if figure is not None)
    for place, figure in enumerate(figures):
        if figure is None:
            yield "-"
        elif place == first or not base.value:
            column = column_of("", figure.unit, [figure.value])
            yield f"{column.text(figure.value)} {column.scale}".rstrip()
        else:
            yield f"{figure.value / base.value:,.2f} x"


def without_name(test: str, library: str) -> str:
    """Return the test's id without the library, which is the last of its parameters."""
    for end, kept in ((f"-{library}]", "]"), (f"[{library}]", "")):
        if test.endswith(end):
            return test.removesuffix(end) + kept
    return test
