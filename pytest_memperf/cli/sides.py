"""The runs that a word of a command line names: a saved one, a file, or those of a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from pytest_memperf.baseline.folders import is_folder, read_folder
from pytest_memperf.baseline.reference import Baseline, find
from pytest_memperf.baseline.store import Store
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.report.table import printable


def sides(reference: str, store: Store) -> list[Baseline]:
    """Return what a side is: one baseline, or one for each environment of a folder. UsageMistake for nothing."""
    found = read_folder(reference) if is_folder(reference) else [_found(reference, store)]
    for side in found:
        for remark in side.remarks:
            tell(remark)
    return found


def tell(remark: str) -> None:
    """Write a remark to standard error."""
    print(f"memperf: {printable(remark)}", file=sys.stderr)


def _found(reference: str, store: Store) -> Baseline:
    found = find(reference, store, Path.cwd())
    if not found.runs:
        for remark in found.remarks:
            tell(remark)
        raise UsageMistake(
            f"no file and no run in {store.described} is called {reference!r}: save one with pytest --memperf-save"
        )
    return found
