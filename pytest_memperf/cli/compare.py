"""``memperf compare``: what became of every metric from one saved run to another."""

from __future__ import annotations

import argparse
import contextlib
import gc
from collections.abc import Iterator

from pytest_memperf.baseline.comparing import compare
from pytest_memperf.baseline.folders import pairs
from pytest_memperf.cli.outcomes import (
    NOTHING_JUDGED,
    READERS,
    add_outcome_arguments,
    check_names,
    check_reports,
    check_units,
    exit_code,
    keeps_same,
    readable,
    write_outcomes,
)
from pytest_memperf.cli.sides import NoRunYet, sides, tell
from pytest_memperf.cli.storage import add_storage
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.limits import Limits
from pytest_memperf.report.comparison.texts import GROUPS, SORTS, USUAL, Order

EPILOG = """
A run is what --memperf-save kept: its number, name, commit, branch, a pattern of its file's name, "latest", a tag or
another name of a commit that git knows; or the path of a file of results. The first of these that exists is taken.
sqlite:///FILE or postgresql://HOST/DATABASE is the latest run of that storage, and with #RUN behind it another one.
A folder stands for all files of results in it, one comparison for each environment that both sides have.

Exit code: 0 without a regression, or, with a warning, where no run of BASE is saved yet, 1 with a regression, 2 for a
mistake in the call, 3 where nothing could be judged (with --strict: where something could not, or BASE is not saved).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("base", metavar="BASE", help="the run to compare with")
    parser.add_argument("heads", metavar="HEAD", nargs="+", help="the run that is compared; each of several by itself")
    add_outcome_arguments(parser)
    add_storage(parser)
    parser.add_argument("--sort", metavar="ORDER", help=f"{', '.join(SORTS)}; the first without this option")
    parser.add_argument("--group", metavar="BY", help=f"keep rows of one test or metric together: {', '.join(GROUPS)}")
    parser.epilog = EPILOG


def run(options: argparse.Namespace) -> int:
    """Print the comparison of each head with the base, and return the exit code."""
    with _no_search_for_cycles():
        return _run(options)


@contextlib.contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Let Python not look through the objects for cycles: of hundreds of thousands none is in one."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _run(options: argparse.Namespace) -> int:
    check_reports(options)
    order = _order(options)
    limits = Limits.parse(options.fail)
    check_units(limits)
    try:
        bases = sides(options.base, options.storage)
    except NoRunYet as reason:
        return _no_baseline(options, reason)
    outcomes, unpaired = [], False
    for name in options.heads:
        found, alone = pairs(bases, sides(name, options.storage))
        for base, head in found:
            run = head.runs[0]
            outcome = compare(base.runs, run.results, run.environment, limits, keeps_same(options))
            outcome.base, outcome.head = base.described, head.described
            if base.described == head.described and options.base != name:
                tell(f"{base.described} is compared with itself")
            outcomes.append(outcome)
        for each in alone:
            unpaired = True
            tell(f"{each.described}: nothing of its environment is on the other side, so it is not compared")
    check_names(limits, outcomes)
    write_outcomes(options, outcomes, order)
    return exit_code(outcomes, options.strict, unpaired)


def _no_baseline(options: argparse.Namespace, reason: NoRunYet) -> int:
    """Say so, and write reports of no comparison, so that none stays from before. UsageMistake for a wrong head."""
    for name in options.heads:
        with contextlib.suppress(NoRunYet):
            sides(name, options.storage)
    tell(f"there is no baseline yet: {reason}")
    write_outcomes(options, [])
    return NOTHING_JUDGED if options.strict else 0


def _order(options: argparse.Namespace) -> Order:
    """Return the order of the rows. UsageMistake for a wrong word, and for formats that have an order of their own."""
    given = {"sort": options.sort, "group": options.group}
    for (name, word), words in zip(given.items(), (SORTS, GROUPS), strict=True):
        if word is None:
            continue
        if not readable(options):
            raise UsageMistake(f"--{name} is for --format={', '.join(READERS)}: leave it out")
        if word not in words:
            raise UsageMistake(f"--{name}={word}: choose from {', '.join(words)}{nearest(word, words)}")
    return USUAL._replace(**{name: word for name, word in given.items() if word is not None})
