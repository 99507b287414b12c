"""``memperf compare``: what became of every metric from one saved run to another."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TextIO

from pytest_memperf.baseline.comparing import compare
from pytest_memperf.baseline.file_store import FOLDER, FileStore, platform
from pytest_memperf.baseline.folders import is_folder, pairs, read_folder
from pytest_memperf.baseline.reference import Baseline, find
from pytest_memperf.cli.command import Command
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.report.comparison import csv, github, json, junit, markdown, terminal
from pytest_memperf.report.comparison.texts import GROUPS, SORTS, USUAL, Order
from pytest_memperf.report.json_file import cannot_write
from pytest_memperf.report.table import printable
from pytest_memperf.report.whole_file import write_text


class ForReaders(Protocol):
    """Writes outcomes in an order; what has no difference is left out before."""

    def __call__(self, file: TextIO, outcomes: list[Outcome], order: Order = ...) -> None:
        """Write them to the file."""


READERS: Mapping[str, ForReaders] = {
    "terminal": terminal.write_all,
    "markdown": markdown.write,
    "github": github.write,
}
FORMATS: Mapping[str, Callable[[TextIO, list[Outcome]], None]] = {
    **READERS,
    "json": json.write,
    "junit": junit.write,
    "csv": csv.write,
}
REGRESSION = 1
NOTHING_JUDGED = 3
EPILOG = """
A run is what --memperf-save kept: its number, name, commit, branch, a pattern of its file's name, "latest", a tag or
another name of a commit that git knows; or the path of a file of results. The first of these that exists is taken.
A folder stands for all files of results in it, one comparison for each environment that both sides have.

Exit code: 0 without a regression, 1 with one, 2 for a mistake in the call, 3 where nothing could be judged (with
--strict: where something could not).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("base", metavar="BASE", help="the run to compare with")
    parser.add_argument("heads", metavar="HEAD", nargs="+", help="the run that is compared; each of several by itself")
    parser.add_argument("--format", default="terminal", metavar="FORMAT", help=f"{', '.join(FORMATS)}")
    parser.add_argument("--output", metavar="FILE", help="write to this file, not to standard output")
    parser.add_argument(
        "--fail", action="append", default=[], metavar="METRIC:LIMIT",
        help="what is a regression, such as peak_rss:5%% or minor_faults:0; by default all that is worse beyond doubt; "
        "'none' fails nothing",
    )  # fmt: skip
    parser.add_argument("--storage", metavar="FOLDER", help=f"where the runs are (the next {FOLDER} upwards)")
    parser.add_argument("--strict", action="store_true", help="exit code 3 where any metric could not be judged")
    parser.add_argument("--all", action="store_true", help="show the metrics without a difference too")
    parser.add_argument("--sort", metavar="ORDER", help=f"{', '.join(SORTS)}; the first without this option")
    parser.add_argument("--group", metavar="BY", help=f"keep rows of one test or metric together: {', '.join(GROUPS)}")
    parser.epilog = EPILOG


def run(options: argparse.Namespace) -> int:
    """Print the comparison of each head with the base, and return the exit code."""
    check_format(options.format)
    order = _order(options)
    limits = Limits.parse(options.fail)
    store = FileStore(storage(options.storage, Path.cwd()), platform())
    bases = _sides(options.base, store)
    outcomes, unpaired = [], False
    for name in options.heads:
        found, alone = pairs(bases, _sides(name, store))
        for base, head in found:
            run = head.runs[0]
            keep_same = options.all or options.format not in READERS
            outcome = compare(base.runs, run.results, run.environment, limits, keep_same)
            outcome.base, outcome.head = base.described, head.described
            outcomes.append(outcome)
        for each in alone:
            unpaired = True
            _tell(f"{each.described}: nothing of its environment is on the other side, so it is not compared")
    check_names(limits, outcomes)
    write_outcomes(options.format, options.output, outcomes, order)
    return exit_code(outcomes, options.strict, unpaired)


def check_format(name: str) -> None:
    """Refuse a format that there is none of."""
    if name not in FORMATS:
        raise UsageMistake(f"--format={name}: choose from {', '.join(FORMATS)}{nearest(name, FORMATS)}")


def exit_code(outcomes: Sequence[Outcome], strict: bool, unpaired: bool = False) -> int:
    """Return the code of DESIGN's table: 0, 1 or 3.

    Args:
        unpaired: whether a side has an environment that the other one lacks.
    """
    if any(outcome.failing for outcome in outcomes):
        return REGRESSION
    undecided = unpaired or any(outcome.undecided for outcome in outcomes)
    judged = any(outcome.judged for outcome in outcomes)
    return 0 if judged and not (strict and undecided) else NOTHING_JUDGED


def _order(options: argparse.Namespace) -> Order:
    """Return the order of the rows. UsageMistake for a wrong word, and for formats that have an order of their own."""
    given = {"sort": options.sort, "group": options.group}
    for (name, word), words in zip(given.items(), (SORTS, GROUPS), strict=True):
        if word is None:
            continue
        if options.format not in READERS:
            raise UsageMistake(f"--{name} is for --format={', '.join(READERS)}: leave it out")
        if word not in words:
            raise UsageMistake(f"--{name}={word}: choose from {', '.join(words)}{nearest(word, words)}")
    return USUAL._replace(**{name: word for name, word in given.items() if word is not None})


def storage(given: str | None, folder: Path) -> Path:
    """Return where the runs are: the folder that was given, or the next one of the usual name upwards."""
    if given is not None:
        if not Path(given).is_dir():
            raise UsageMistake(f"--storage={given}: there is no such folder: name one of --memperf-storage")
        return Path(given)
    return next((each / FOLDER for each in (folder, *folder.parents) if (each / FOLDER).is_dir()), folder / FOLDER)


def _sides(reference: str, store: FileStore) -> list[Baseline]:
    """Return what a side is: one baseline, or one for each environment of a folder."""
    sides = read_folder(reference) if is_folder(reference) else [_found(reference, store)]
    for side in sides:
        for remark in side.remarks:
            _tell(remark)
    return sides


def _tell(remark: str) -> None:
    print(f"memperf: {printable(remark)}", file=sys.stderr)


def _found(reference: str, store: FileStore) -> Baseline:
    found = find(reference, store, Path.cwd())
    if not found.runs:
        for remark in found.remarks:
            _tell(remark)
        names = os.path.relpath(store.folder / store.platform)
        raise UsageMistake(
            f"no file and no run in {names} is called {reference!r}: save one with pytest --memperf-save"
        )
    return found


def check_names(limits: Limits, outcomes: Sequence[Outcome]) -> None:
    """Refuse a limit on a metric that no result has: it would never fail."""
    names = {name for outcome in outcomes for name in outcome.metrics}
    for name in limits.unknown(names):
        raise UsageMistake(f"--fail={name}: no result has a metric {name!r}{nearest(name, names)}")


def write_outcomes(name: str, output: str | None, outcomes: list[Outcome], order: Order = USUAL) -> None:
    """Write them in a format to a file, whole or not at all, or to standard output."""
    write = partial(READERS[name], order=order) if name in READERS else FORMATS[name]
    if output is None:
        write(sys.stdout, outcomes)
        return
    text = io.StringIO()
    write(text, outcomes)
    try:
        write_text(Path(os.path.realpath(output)), text.getvalue())
    except OSError as error:
        raise cannot_write(output, error) from None


COMPARE = Command("compare", "Compare saved runs: what became worse, and how sure that is.", add_arguments, run)
