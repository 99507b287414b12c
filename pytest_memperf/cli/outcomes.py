"""What the commands share that compare two sides: their formats, limits and exit codes."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TextIO

from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.report.comparison import csv, github, json, junit, markdown, terminal
from pytest_memperf.report.comparison.texts import USUAL, Order
from pytest_memperf.report.json_file import cannot_write
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


def add_outcome_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that are the same for all of them."""
    parser.add_argument("--format", default="terminal", metavar="FORMAT", help=f"{', '.join(FORMATS)}")
    parser.add_argument("--output", metavar="FILE", help="write to this file, not to standard output")
    parser.add_argument(
        "--fail", action="append", default=[], metavar="METRIC:LIMIT",
        help="what is a regression, such as peak_rss:5%% or minor_faults:0; by default all that is worse beyond doubt; "
        "'none' fails nothing",
    )  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="exit code 3 where any metric could not be judged")
    parser.add_argument("--all", action="store_true", help="show the metrics without a difference too")


def keeps_same(options: argparse.Namespace) -> bool:
    """Tell whether metrics without a difference are wanted: those for programs have them always."""
    return bool(options.all) or options.format not in READERS


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
