"""``memperf history``: a test's metrics over the saved runs, and where they changed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_memperf.baseline.file_store import FileStore, platform
from pytest_memperf.baseline.series import Point, Series, series
from pytest_memperf.cli.command import Command
from pytest_memperf.cli.storage import add_storage, storage
from pytest_memperf.model.comparison import Change
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.run import Run
from pytest_memperf.report.table import Cell, align, printable, text_lines

BARS = "▁▂▃▄▅▆▇█"
CHANGES = (Change.WORSE, Change.BETTER, Change.CHANGED)
NOT_FOUND = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("test", metavar="TEST", nargs="?", help="a test's id, or a part of it; without it: the runs")
    parser.add_argument("--metric", action="append", metavar="NAME", help="only this metric; may be repeated")
    parser.add_argument("--last", type=int, default=50, metavar="NUMBER", help="of the runs (50)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_storage(parser)
    parser.epilog = "Exit code: 0, or 3 where no run has such a test."


def run(options: argparse.Namespace) -> int:
    """Print the runs, or the series of a test."""
    if options.last < 1:
        raise UsageMistake(f"--last={options.last}: give a whole number from 1 up")
    store = FileStore(storage(options.storage, Path.cwd()), platform())
    saved = store.runs()[-options.last :]
    runs: list[tuple[int, Run]] = []
    for each in saved:
        try:
            run = each.head if options.test is None else each.read()
            results = [result for result in run.results if options.test in result.test]
            runs.append((each.number, replace(run, results=results)))
        except UsageMistake as mistake:
            print(f"memperf: {mistake}", file=sys.stderr)
    if options.test is None:
        _print_runs(runs, options.json)
        return 0
    found = list(series(runs, options.test))
    if options.metric:
        known = {line.metric.name for line in found}
        for name in options.metric:
            if found and name not in known:
                raise UsageMistake(f"--metric={name}: no run has that of such a test{nearest(name, known)}")
        found = [line for line in found if line.metric.name in options.metric]
    if options.json:
        print(json.dumps({"series": [_as_json(line) for line in found]}, indent=1))
    else:
        for text in _text(found):
            print(text)
    if not found:
        print(f"memperf: none of the last {len(runs)} runs has a test {options.test!r}", file=sys.stderr)
        return NOT_FOUND
    return 0


def _print_runs(runs: Sequence[tuple[int, Run]], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"runs": [{"number": number, **run.head} for number, run in runs]}, indent=1))
        return
    rows = [("run", "created", "commit", "branch", "name")]
    rows += [(f"{number:04}", *_of(run), run.name or "") for number, run in runs]
    _print_table(rows)


def _of(run: Run) -> tuple[str, str, str]:
    """Return when a run was, and its commit and branch."""
    commit = run.commit
    name = f"{commit.id[:12]}{' and changes' if commit.dirty else ''}" if commit else ""
    return run.created[:16].replace("T", " "), name, (commit.branch or "") if commit else ""


def _text(found: Sequence[Series]) -> Iterator[str]:
    """Yield each series as a heading with a plot, then a row for each run in which it changed, and for the last one."""
    for line in found:
        values = [point.measured.value for point in line.points]
        yield printable(f"{line.key.place} {line.metric.name}: {_bars(values)}")
        rows = []
        for place, point in enumerate(line.points):
            if place in (0, len(line.points) - 1) or point.change in CHANGES:
                created, commit, branch = _of(point.run)
                value = line.metric.unit.format(point.measured.value)
                change = point.change.value if point.change in CHANGES and point.change is not None else ""
                rows.append((f"{point.number:04}", created, commit, branch, value, change, point.reason))
        yield from (f"  {text}" for text in _table(rows, left=(0, 1, 2, 3, 5, 6)))


def _bars(values: Sequence[float]) -> str:
    """Return the values as bars between the smallest and the largest."""
    low, high = min(values), max(values)
    if low == high:
        return BARS[0] * len(values)
    return "".join(BARS[round((value - low) / (high - low) * (len(BARS) - 1))] for value in values)


def _table(rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    return text_lines(align([[Cell(printable(text)) for text in row] for row in rows], left=left))


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    for text in _table(rows, range(len(rows[0]))):
        print(text)


def _as_json(line: Series) -> dict[str, Any]:
    return {
        **line.key._asdict(),
        "metric": line.metric.name,
        "unit": line.metric.unit.name,
        "points": [_point(point) for point in line.points],
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "run": point.number,
        **point.run.head,
        "value": point.measured.value,
        "uncertainty": point.measured.uncertainty,
        "change": point.change.value if point.change else None,
        "reason": point.reason,
    }


HISTORY = Command("history", "Show a test's metrics over the saved runs, and where they changed.", add_arguments, run)
