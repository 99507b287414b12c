"""The runs that a word of a command line names: a saved one, one of another storage, a file, or those of a folder."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from pytest_memperf.baseline.folders import is_folder, read_folder
from pytest_memperf.baseline.reference import Baseline, find_saved, names, none_kept, of_file
from pytest_memperf.baseline.storage import is_address
from pytest_memperf.baseline.store import Store
from pytest_memperf.cli.storage import store_named, store_of, where
from pytest_memperf.environment.commit import commit_named
from pytest_memperf.model.errors import UsageMistake, nearest
from pytest_memperf.model.run import LATEST
from pytest_memperf.report.table import printable

SAVE = "save one with pytest --memperf-save"


class NoRunYet(UsageMistake):
    """Nothing is wrong with a name, but no run is saved yet that it could mean."""


def sides(reference: str, storage: str | None) -> list[Baseline]:
    """Return what a side is: one baseline, or one for each environment of a folder. UsageMistake for nothing.

    Args:
        storage: where saved runs are, unless the side says that itself; None for the project's.
    """
    if is_address(reference):
        found = [_at_address(reference)]
    elif is_folder(reference):
        found = read_folder(reference)
    elif os.path.isfile(reference):
        found = [of_file(reference)]
    else:
        store = store_of(storage)
        is_none = os.path.isdir(reference) or reference.endswith(".json")
        found = [_not_empty(find_saved(reference, store, Path.cwd()), reference, store, storage, is_none)]
    for side in found:
        for remark in side.remarks:
            tell(remark)
    return found


def tell(remark: str) -> None:
    """Write a remark to standard error."""
    print(f"memperf: {printable(remark)}", file=sys.stderr)


def _at_address(reference: str) -> Baseline:
    """Return the run that ``URI#RUN`` names, the latest of ``URI``."""
    address, mark, name = reference.rpartition("#")
    if not mark or "@" in name.replace("@{", ""):  # that of a password, which ends with an @
        address, name = reference, LATEST
    store = store_named(address)
    found = _not_empty(find_saved(name, store, Path.cwd()), name, store, address, is_none=not name)
    return replace(found, described=f"{found.described}, in {store.described}")


def _not_empty(found: Baseline, reference: str, store: Store, storage: str | None, is_none: bool) -> Baseline:
    """Return what is found. NoRunYet or UsageMistake where that is nothing.

    Args:
        storage: where the store is; None for the project's.
        is_none: whether it is no name of a run that could be saved, unless git knows it: a path, or nothing at all.
    """
    if found.runs:
        return found
    for remark in found.remarks:
        tell(remark)
    of_git = (reference, f"origin/{reference}")  # the latter is all that a checkout in CI has of another branch
    if any(commit_named(name, Path.cwd()) for name in of_git) or not (is_none or store.runs()):
        raise NoRunYet(f"{none_kept(reference)} in {where(store, storage)}: {SAVE}")
    mend = nearest(reference, names(store)) or f": {SAVE}"
    raise UsageMistake(f"no file and no run in {store.described} is called {reference!r}{mend}")
