"""Where that is written down which must not outlive the process that made it, and whether anything is."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

HUGE_PAGES = Path("/run/pytest-memperf/hugepages")  # as short-lived as the pools are: to the machine's next start


def of_files() -> Path:
    """Return the folder of this user's list of files: one for all sessions, whatever TMPDIR says, to be found again.

    The user's own in /run would be gone after the logout, with files still there.
    """
    return Path(f"/tmp/pytest-memperf-{os.geteuid()}")


def anything_listed() -> bool:
    """Tell whether a file or huge pages are written down, by the living or the dead."""
    for folder in (of_files(), HUGE_PAGES):
        with suppress(OSError):
            if any(name not in ("lock", "mounts") for name in os.listdir(folder)):
                return True
    return False
