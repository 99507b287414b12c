"""``memperf history``: a test's metrics over the saved runs, where they changed, and by which commit."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_memperf.baseline.lineage import lineage
from pytest_memperf.baseline.series import Point, Series, Step, series
from pytest_memperf.baseline.store import StoredRun
from pytest_memperf.cli.sides import SAVE, tell
from pytest_memperf.cli.storage import add_storage, store_of, where
from pytest_memperf.environment.commit import commits_between
from pytest_memperf.model.comparison import Change
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.run import Run
from pytest_memperf.report.comparison.texts import change_text
from pytest_memperf.report.plot import bars, plot
from pytest_memperf.report.table import Cell, align, printable, text_lines

NOT_FOUND = 3
SINCE = {
    Change.WORSE: ("first bad commit", "last good one"),
    Change.BETTER: ("first better commit", "last one before"),
    Change.CHANGED: ("first changed commit", "last one before"),
}
Numbered = tuple[int, Run]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("test", metavar="TEST", nargs="?", help="a test's id, or a part of it; without it: the runs")
    parser.add_argument("--metric", action="append", metavar="NAME", help="only this metric; may be repeated")
    parser.add_argument("--last", type=int, default=50, metavar="NUMBER", help="of the runs (50)")
    parser.add_argument("--branch", metavar="NAME", help="the branch to follow (what is checked out)")
    parser.add_argument("--all-branches", action="store_true", help="all runs, in the order in which they were saved")
    parser.add_argument("--all", action="store_true", help="show each run in a row, not only those that changed")
    parser.add_argument("--plot", action="store_true", help="draw a plot with its scale")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_storage(parser)
    parser.epilog = "Exit code: 0, or 3 where no run has such a test."


def run(options: argparse.Namespace) -> int:
    """Print the runs, or the series of a test."""
    if options.last < 1:
        raise UsageMistake(f"--last={options.last}: give a whole number from 1 up")
    if options.branch and options.all_branches:
        raise UsageMistake("give --branch or --all-branches: not both")
    store = store_of(options.storage)
    saved = {each.number: each for each in store.runs()}
    if not saved:
        tell(f"no run is kept yet in {where(store, options.storage)}: {SAVE}")
        if options.json:
            print(json.dumps({"series" if options.test else "runs": []}, indent=1))
        return NOT_FOUND if options.test else 0
    if options.all_branches or (options.test is None and not options.branch):
        wanted, remark = list(saved)[-options.last :], ""
        heads = dict(_heads([saved[number] for number in wanted])) if options.test is None else {}
    else:
        heads = dict(_heads(list(saved.values())))
        chosen = lineage(heads, options.branch, Path.cwd())
        wanted, remark = list(chosen.numbers)[-options.last :], chosen.remark
    if options.test is None:
        _print_runs([(number, heads[number]) for number in wanted if number in heads], options.json)
        return 0
    read = store.of_test(wanted, options.test)
    for damage in read.remarks:
        tell(damage)
    runs = read.runs
    found = _only(list(series(runs, options.test)), options.metric or ())
    if options.json:
        print(json.dumps({"series": [_as_json(line) for line in found]}, indent=1))
    else:
        for text in _text(found, options.all, options.plot):
            print(printable(text))
    if remark:
        tell(remark)
    if not found:
        tell(f"none of the last {len(runs)} runs has a test {options.test!r}")
        return NOT_FOUND
    return 0


def _heads(saved: Sequence[StoredRun]) -> Iterator[Numbered]:
    """Yield the runs without their results; of those that cannot be read a line is told instead."""
    for each in saved:
        try:
            yield each.number, each.head
        except UsageMistake as mistake:
            tell(str(mistake))


def _only(found: list[Series], names: Sequence[str]) -> list[Series]:
    """Return the series of these metrics, all without any. UsageMistake for one that there is none of."""
    known = {line.metric.name for line in found}
    for name in names:
        if found and name not in known:
            raise UsageMistake(f"--metric={name}: no run has that of such a test{nearest(name, known)}")
    return [line for line in found if not names or line.metric.name in names]


def _print_runs(runs: Sequence[Numbered], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"runs": [{"number": number, **run.head} for number, run in runs]}, indent=1))
        return
    rows = [("run", "created", "commit", "branch", "name")]
    rows += [(f"{number:04}", *_of(run), run.name or "") for number, run in runs]
    for text in _table(rows, range(len(rows[0]))):
        print(text)


def _of(run: Run) -> tuple[str, str, str]:
    """Return when a run was, and its commit and branch."""
    return run.created[:16].replace("T", " "), _commit(run), run.branch or ""


def _commit(run: Run) -> str:
    return f"{run.commit.id[:12]}{' and changes' if run.commit.dirty else ''}" if run.commit else ""


def _text(found: Sequence[Series], every_run: bool, drawn: bool) -> Iterator[str]:
    """Yield each series: a heading with its bars, or a plot, its table, and what its steps say; then what is untold."""
    room = shutil.get_terminal_size().columns
    untold: dict[str, list[str]] = {}
    for line in found:
        values = [point.measured.value for point in line.points]
        steps = {id(step.first): step for step in line.steps}
        heading = f"{line.key.place} {line.metric.name}:"
        if drawn:
            marked = [place for place, point in enumerate(line.points) if id(point) in steps]
            yield heading
            yield from plot(values, marked, line.metric.unit.format, room)
        else:
            yield f"{heading} {bars(values, room)}"
        yield from (f"  {text}" for text in _table(_rows(line, steps, every_run), left=(0, 1, 2, 3, 5, 6)))
        yield from (f"  {text}" for text in map(_sentence, line.steps))
        if line.untold:
            untold.setdefault(line.untold, []).append(line.metric.name)
    for reason, names in untold.items():
        yield f"no verdict over {', '.join(dict.fromkeys(names))}: {reason}"


def _rows(line: Series, steps: dict[int, Step], every_run: bool) -> list[tuple[str, ...]]:
    """Return a row for each run, or for those that say something: the first, the last, and where it changed."""
    rows: list[tuple[str, ...]] = []
    for place, point in enumerate(line.points):
        step = steps.get(id(point))
        if every_run or step or point.apart or place in (0, len(line.points) - 1):
            verdict, why = (step.change.value, step.reason) if step else ("", point.apart)
            rows.append(
                (f"{point.number:04}", *_of(point.run), line.metric.unit.format(point.measured.value), verdict, why)
            )
    return rows


def _sentence(step: Step) -> str:
    """Return whose change a step is."""
    first, last = SINCE[step.change]
    size = change_text(step.first.measured.metric, step.after - step.before, _ratio(step))
    among = ""
    if step.earliest is not step.latest:
        among = f" (or one of runs {step.earliest.number:04} to {step.latest.number:04})"
    elif between := _unmeasured(step):
        among = f" (or one of {between:,} commit{'s' if between > 1 else ''} before it of which no run is kept)"
    return f"{first}: {_named(step.first)}{among}, {size}; {last}: {_named(step.last)}"


def _unmeasured(step: Step) -> int:
    """Return how many commits lie between the last run before a step and the first one after it."""
    return commits_between(step.last.run.commit, step.first.run.commit, Path.cwd())


def _named(point: Point) -> str:
    commit = _commit(point.run)
    return f"{commit} of run {point.number:04}" if commit else f"that of run {point.number:04}"


def _ratio(step: Step) -> float | None:
    return step.after / step.before if step.before else None


def _table(rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    return text_lines(align([[Cell(printable(text)) for text in row] for row in rows], left=left))


def _as_json(line: Series) -> dict[str, Any]:
    return {
        **line.key._asdict(),
        "metric": line.metric.name,
        "unit": line.metric.unit.name,
        "points": [_point(point) for point in line.points],
        "changes": [_step(step) for step in line.steps],
        **({"undecided": line.untold} if line.untold else {}),
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "run": point.number,
        **point.run.head,
        "value": point.measured.value,
        "uncertainty": point.measured.uncertainty,
        **({"not comparable": point.apart} if point.apart else {}),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "verdict": step.change.value,
        "run": step.first.number,
        "commit": step.first.run.commit.as_json() if step.first.run.commit else None,
        "last_before": step.last.number,
        "unmeasured_commits": _unmeasured(step),
        "earliest": step.earliest.number,
        "latest": step.latest.number,
        "before": step.before,
        "after": step.after,
        "difference": step.after - step.before,
        "ratio": _ratio(step),
        "reason": step.reason,
    }
