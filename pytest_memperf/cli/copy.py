"""``memperf copy``: saved runs from one storage to another: a folder, a file of sqlite, a server of PostgreSQL."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_memperf.baseline.copying import copy
from pytest_memperf.baseline.storage import missing, store_at, stores_at
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.report.plural import counted

NOT_ALL = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("source", metavar="FROM", help="a folder, sqlite:///FILE or postgresql://HOST/DATABASE")
    parser.add_argument("target", metavar="TO", help="another one; what is there already stays and is not copied again")
    parser.epilog = "Exit code: 0, or 3 where a run is damaged and was left out."


def run(options: argparse.Namespace) -> int:
    """Copy the runs of every platform, and tell each."""
    here = Path()
    lacking = missing(options.source, here)
    if lacking:
        raise UsageMistake(f"{options.source}: there is no such {lacking}: name one of --memperf-storage")
    stores = [store for store in stores_at(options.source, here) if store.runs()]
    if not stores:
        raise UsageMistake(f"{options.source}: no run is saved there: name a folder of --memperf-storage")
    made = there = damaged = 0
    for store in stores:
        for each in copy(store, store_at(options.target, here, store.platform)):
            if each.damage:
                print(f"memperf: left out: {each.damage}", file=sys.stderr)
            elif each.new:
                print(f"{each.source} -> {each.target}")
            damaged += bool(each.damage)
            made += each.new
            there += each.target is not None and not each.new
    print(f"{counted(made, 'run')} copied{f', {there} there already' if there else ''}")
    return NOT_ALL if damaged else 0
