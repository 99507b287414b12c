"""Environments that no run has used for weeks, or that were never finished: whoever makes another one deletes them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from pathlib import Path

from pytest_memperf.environment.locks import taken

READY = "packages.json"
"""Made last: the top-level modules that the project has installed."""
KEPT = 30 * 24 * 3600.0
"""Seconds since an environment was used last."""
_OURS = re.compile("[0-9a-f]{16}")


def delete_unused(cache: Path) -> None:
    """Delete what has not been used for so long, and what somebody began who is no more."""
    oldest = time.time() - KEPT
    for lock in cache.glob("*.lock"):
        folder = lock.with_suffix("")
        if not _OURS.fullmatch(folder.name):
            continue
        with contextlib.suppress(OSError), taken(lock, os.O_RDWR):
            if not (folder / READY).exists() or folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink()
