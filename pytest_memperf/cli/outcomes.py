"""What the commands share that compare two sides: their formats, limits and exit codes."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TextIO

from pytest_memperf.cli.command import readers_may_leave
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.report.comparison import csv, github, json, junit, markdown, terminal
from pytest_memperf.report.comparison.texts import USUAL, Order
from pytest_memperf.report.json_file import cannot_write, check_folder
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


class Report(NamedTuple):
    """A format, and the file that it is written to; None for standard output."""

    format: str
    file: str | None


def add_outcome_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that are the same for all of them."""
    parser.add_argument("--format", default="terminal", metavar="FORMAT", help=f"{', '.join(FORMATS)}")
    parser.add_argument("--output", metavar="FILE", help="write to this file, not to standard output")
    parser.add_argument(
        "--report", action="append", default=[], metavar="FORMAT[:FILE]",
        help="write in this format too, such as junit:memperf.xml; without a file to standard output; can be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--fail", action="append", default=[], metavar="METRIC:LIMIT",
        help="what is a regression, such as peak_rss:5%% or minor_faults:0; by default all that is worse beyond doubt; "
        "'none' fails nothing",
    )  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="exit code 3 where any metric could not be judged")
    parser.add_argument("--all", action="store_true", help="show the metrics without a difference too")


def reports(options: argparse.Namespace) -> list[Report]:
    """Return what is to be written: that of --format, then each --report."""
    more = [each.partition(":") for each in options.report]
    return [Report(options.format, options.output), *(Report(name, file if sep else None) for name, sep, file in more)]


def check_reports(options: argparse.Namespace) -> None:
    """Refuse formats that there are none of, and files that cannot be written, as far as that can be told before."""
    seen = set()
    for report, option in zip(reports(options), ("--format", *["--report"] * len(options.report)), strict=True):
        if report.format not in FORMATS:
            names = f"choose from {', '.join(FORMATS)}{nearest(report.format, FORMATS)}"
            raise UsageMistake(f"{option}={report.format}: {names}")
        target = report if report.file is None else os.path.realpath(report.file)
        if target in seen:
            what = f"{report.format} is written to standard output" if report.file is None else report.file
            raise UsageMistake(f"{what} twice: name each file once, and each format without a file")
        seen.add(target)
        if report.file is not None:
            if not report.file and option == "--report":
                raise UsageMistake(f"--report={report.format}: names no file: write --report={report.format}:FILE")
            check_file(report.file)


def check_file(file: str) -> None:
    """Refuse a file that cannot be written, or would replace what is none."""
    if not file:
        raise UsageMistake("--output: names no file")
    target = Path(os.path.realpath(file))
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.exists() and not target.is_file():  # a device, which the file would replace
            raise UsageMistake(f"{file} cannot be written (not a regular file): name a file, it is replaced whole")
        check_folder(target.parent)
    except OSError as error:
        raise cannot_write(file, error) from None


def readable(options: argparse.Namespace) -> bool:
    """Tell whether any of what is written is for readers."""
    return any(report.format in READERS for report in reports(options))


def keeps_same(options: argparse.Namespace) -> bool:
    """Tell whether metrics without a difference are wanted: those for programs have them always."""
    return bool(options.all) or any(report.format not in READERS for report in reports(options))


def exit_code(outcomes: Sequence[Outcome], strict: bool, unpaired: bool = False) -> int:
    """Return the code of DESIGN's table: 0, 1 or 3.

    Args:
        unpaired: whether a side has an environment that the other one lacks.
    """
    if any(outcome.failing or outcome.failed for outcome in outcomes):
        return REGRESSION
    undecided = unpaired or any(outcome.undecided for outcome in outcomes)
    judged = any(outcome.judged for outcome in outcomes)
    return 0 if judged and not (strict and undecided) else NOTHING_JUDGED


def check_names(limits: Limits, outcomes: Sequence[Outcome]) -> None:
    """Refuse a limit on a metric that no result has, where there are results: it would never fail."""
    names = {name for outcome in outcomes for name in outcome.metrics}
    for name in limits.unknown(names) if names else ():
        raise UsageMistake(f"--fail={name}: no result has a metric {name!r}{nearest(name, names)}")


def check_units(limits: Limits) -> None:
    """Refuse a limit in another unit than its metric's, of the metrics that come with this package."""
    if not limits.of:
        return
    from pytest_memperf.metrics import BUILT_IN, Registry

    try:
        limits.check_units(Registry(BUILT_IN))
    except UsageMistake as mistake:
        raise UsageMistake(f"--fail={mistake}") from None


def write_outcomes(options: argparse.Namespace, outcomes: list[Outcome], order: Order = USUAL) -> None:
    """Write them in each format that is asked for: files first, each whole or not at all, then standard output.

    UsageMistake, after all the others are written, where a file cannot be.
    """
    different = outcomes if options.all else [outcome.different() for outcome in outcomes]
    mistakes = []
    for name, file in sorted(reports(options), key=lambda report: report.file is None):
        try:
            if name in READERS:
                _write(partial(READERS[name], order=order), file, different)
            else:
                _write(FORMATS[name], file, outcomes)
        except UsageMistake as mistake:
            mistakes.append(mistake)
    if mistakes:
        raise mistakes[0]


def _write(write: Callable[[TextIO, list[Outcome]], None], file: str | None, outcomes: list[Outcome]) -> None:
    if file is None:
        with readers_may_leave():
            write(sys.stdout, outcomes)
        return
    text = io.StringIO()
    write(text, outcomes)
    try:
        write_text(Path(os.path.realpath(file)), text.getvalue())
    except OSError as error:
        raise cannot_write(file, error) from None
