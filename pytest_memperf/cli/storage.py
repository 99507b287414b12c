"""Where the commands look for saved runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pytest_memperf.baseline.file_store import FOLDER, is_of_one_platform, platform
from pytest_memperf.baseline.storage import is_address, missing, store_at, stores_at
from pytest_memperf.baseline.store import Store
from pytest_memperf.model.errors import UsageMistake

_INI = "memperf_storage"


def add_storage(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument(
        "--storage",
        metavar="URI",
        help="where the runs are: a folder, sqlite:///FILE or postgresql://HOST/DATABASE "
        f"({_INI} of pytest's ini file, or the next {FOLDER} upwards)",
    )


def store_of(given: str | None) -> Store:
    """Return the store of this platform in the storage that was given, or the project's. UsageMistake without one."""
    return store_at(*_storage(given), platform())


def store_named(storage: str) -> Store:
    """Return the store of this platform in a storage that stands for itself. UsageMistake as of ``store_of``."""
    return store_at(*_checked(storage, storage, Path()), platform())


def stores_of(given: str | None) -> Sequence[Store]:
    """Return the store of each platform that has runs. UsageMistake as of ``store_of``."""
    return stores_at(*_storage(given))


def where(store: Store, given: str | None) -> str:
    """Return where a store is, for a reader who finds nothing there, and of which other platforms there are runs.

    Args:
        given: the storage that it is of; None for the project's.
    """
    others = [each.platform for each in stores_of(given) if each.platform != store.platform and each.runs()]
    return f"{store.described} (there are runs of {', '.join(others)})" if others else store.described


def _storage(given: str | None) -> tuple[str, Path]:
    """Return what names the storage, and where that begins if it is a relative path."""
    if given is not None:
        return _checked(f"--storage={given}", given, Path())
    here = Path.cwd()
    folder, told = _from_ini(here)
    if told:
        return _checked(f"{_INI}={told}", told, folder)
    found = (each / FOLDER for each in (here, *here.parents) if (each / FOLDER).is_dir())
    return str(next(found, here / FOLDER)), here


def _checked(shown: str, storage: str, folder: Path) -> tuple[str, Path]:
    lacking = missing(storage, folder)
    if lacking:
        raise UsageMistake(f"{shown}: there is no such {lacking}: name one of --memperf-storage")
    if not is_address(storage) and is_of_one_platform(folder / storage):
        raise UsageMistake(f"{shown}: this folder has the runs of one platform: name the one above it")
    return storage, folder


def _from_ini(folder: Path) -> tuple[Path, str]:
    """Return what pytest, started in the folder, would read from its ini file, and where that file is."""
    import pytest  # which takes a tenth of a second, where it is not there yet
    from _pytest.config.findpaths import locate_config  # there is no public way to only look

    try:
        root, _, settings, *_ = locate_config(folder, [])
    except pytest.UsageError as error:
        raise UsageMistake(f"{error}: mend the file, or name the runs by --storage") from None
    value = settings.get(_INI)
    return root or folder, str(getattr(value, "value", value) or "")  # pytest 9 tells where it has it from
