"""The results as one JSON file, whole or not at all."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Iterable
from pathlib import Path

from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.result import FORMAT, Result


def write(path: str, results: Iterable[Result]) -> None:
    """Write the results. UsageMistake where the folder is missing, read-only or full; an older file then stays."""
    document = {
        "format": FORMAT,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "results": [result.as_json() for result in results],
    }
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UsageMistake(f"{path} cannot be written ({error.strerror}): name another file") from error
