"""``memperf prune``: delete saved runs that nobody will compare with any more."""

from __future__ import annotations

import argparse
import datetime

from pytest_memperf.baseline.pruning import parse_age, unwanted
from pytest_memperf.cli.storage import add_storage, stores_of
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.values import number_or_text, whole
from pytest_memperf.report.plural import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--keep", metavar="NUMBER", help="the last so many runs of each platform stay")
    parser.add_argument("--older", metavar="AGE", help="only runs older than this go: 90d, 12h, 8w")
    parser.add_argument("--dry-run", action="store_true", help="only show what would go")
    add_storage(parser)
    parser.epilog = "With both, a run goes that is beyond the number and older."


def run(options: argparse.Namespace) -> int:
    """Delete the runs, oldest first, and tell each."""
    if options.keep is None and options.older is None:
        raise UsageMistake("say which runs go: --keep 100, --older 90d, or both")
    try:
        keep = None if options.keep is None else whole(number_or_text(options.keep), 0)
    except UsageMistake as mistake:
        raise UsageMistake(f"--keep={options.keep}: {mistake}") from None
    older = None if options.older is None else parse_age(options.older)
    now = datetime.datetime.now(datetime.timezone.utc)
    number = 0
    for store in stores_of(options.storage):
        for each in unwanted(store.runs(), keep, older, now):
            if not options.dry_run:
                each.remove()
            print(each.described)
            number += 1
    print(f"{counted(number, 'run')} {'would be ' if options.dry_run else ''}deleted")
    return 0
