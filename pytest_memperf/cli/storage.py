"""Where the commands look for saved runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_memperf.baseline.file_store import FOLDER
from pytest_memperf.model.errors import UsageMistake


def add_storage(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument("--storage", metavar="FOLDER", help=f"where the runs are (the next {FOLDER} upwards)")


def storage(given: str | None, folder: Path) -> Path:
    """Return where the runs are: the folder that was given, or the next one of the usual name upwards."""
    if given is not None:
        if not Path(given).is_dir():
            raise UsageMistake(f"--storage={given}: there is no such folder: name one of --memperf-storage")
        return Path(given)
    return next((each / FOLDER for each in (folder, *folder.parents) if (each / FOLDER).is_dir()), folder / FOLDER)
