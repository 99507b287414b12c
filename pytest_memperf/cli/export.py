"""``memperf export``: a run in the format of another tool."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pytest_memperf.baseline.reference import Baseline
from pytest_memperf.cli.outcomes import check_file
from pytest_memperf.cli.sides import sides, tell
from pytest_memperf.cli.storage import add_storage
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.metric import Better
from pytest_memperf.model.run import Run
from pytest_memperf.report.exporters import bencher, csv, github_action_benchmark, pytest_benchmark
from pytest_memperf.report.exporters.entries import Entry, entries
from pytest_memperf.report.json_file import cannot_write
from pytest_memperf.report.whole_file import write_text


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the list of formats."""

    write: Callable[[TextIO, Run, Sequence[Entry]], None]
    metrics: tuple[str, ...] | None = None
    """What is written where no metric is asked for; None for all."""
    better: Better | None = None
    """The only direction that it can say."""


FORMATS: Mapping[str, Format] = {
    "pytest-benchmark": Format(pytest_benchmark.write, metrics=(pytest_benchmark.TIMED,)),
    "customSmallerIsBetter": Format(github_action_benchmark.write_smaller, better=Better.LOWER),
    "customBiggerIsBetter": Format(github_action_benchmark.write_bigger, better=Better.HIGHER),
    "bencher": Format(bencher.write),
    "csv": Format(csv.write),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("run_name", metavar="RUN", help="a run as for memperf compare, a file of results, or a folder")
    parser.add_argument("--format", required=True, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--metric", action="append", metavar="NAME", help="only this metric; may be repeated")
    parser.add_argument("--output", metavar="FILE", help="write to this file, not to standard output")
    add_storage(parser)


def run(options: argparse.Namespace) -> int:
    """Write the run."""
    if options.format not in FORMATS:
        near = nearest(options.format, FORMATS)
        raise UsageMistake(f"--format={options.format}: choose from {', '.join(FORMATS)}{near}")
    chosen = FORMATS[options.format]
    if options.output is not None:
        check_file(options.output)
    side = _side(options)
    found = side.runs[0]
    results = list(found.results)
    taken = entries(results, options.metric or chosen.metrics)
    perturbed = sorted({result.perturbed for result in results if result.perturbed})
    if perturbed:
        tell(f"left out, {'; '.join(perturbed)}")
    _check(options, chosen, taken, side.described)
    text = io.StringIO(newline="")
    chosen.write(text, found, taken)
    if options.output is None:
        sys.stdout.write(text.getvalue())
        return 0
    try:
        write_text(Path(os.path.realpath(options.output)), text.getvalue())
    except OSError as error:
        raise cannot_write(options.output, error) from None
    return 0


def _side(options: argparse.Namespace) -> Baseline:
    """Return the run that is meant, as the first. UsageMistake for a folder with several."""
    found = sides(options.run_name, options.storage)
    if len(found) > 1:
        raise UsageMistake(f"{options.run_name} has results of {len(found)} environments: name a file of one of them")
    return found[0]


def _check(options: argparse.Namespace, chosen: Format, taken: Sequence[Entry], described: str) -> None:
    """Tell what the format has no place for. UsageMistake for a metric that is not there, and where nothing is left."""
    names = {name for entry in taken for name in entry.result.metrics}
    for name in options.metric or ():
        if name not in names:
            raise UsageMistake(f"--metric={name}: no result has that{nearest(name, names)}")
    measured = [each for entry in taken for each in entry.metrics.values()]
    fit = [each for each in measured if chosen.better in (None, each.metric.better)]
    if not fit:
        raise UsageMistake(f"{described} has nothing that --format={options.format} can say: choose another")
    left = sorted({each.metric.name for each in measured} - {each.metric.name for each in fit})
    if left and chosen.better is not None:
        tell(f"left out, {chosen.better.value} is not better: {', '.join(left)}")
