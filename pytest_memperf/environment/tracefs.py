"""The kernel's list of tracepoints, where it is mounted (it is never mounted here), and the one of system calls."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cyx.probes import system_calls
from pytest_memperf.environment.files import number, text

ENTERED = "raw_syscalls/sys_enter"
"""The tracepoint that every system call of every thread passes."""
_MEND = "on the host, as root: mount -t tracefs tracefs /sys/kernel/tracing"
_MOUNTED = re.compile(r"^\S+ (\S+) (tracefs|debugfs) ", re.MULTILINE)
"""A line of /proc/self/mounts; debugfs has tracefs in one of its folders."""


def counting_unavailable() -> str | None:
    """Return why the system calls of this process cannot be counted, with the mend; None where they can."""
    try:
        return system_calls.unavailable(tracepoint(ENTERED))
    except LookupError as error:
        return str(error)


def tracepoint(name: str, root: str | os.PathLike[str] = "/proc") -> int:
    """Return the number of a tracepoint, ``raw_syscalls/sys_enter`` for example. LookupError with the mend for none."""
    places = mounts(Path(root))
    if not places:
        raise LookupError(f"tracefs is not mounted: {_MEND}")
    for place in places:
        found = number(place / "events" / name / "id")
        if found is not None:
            return found
    if not any(os.access(place, os.X_OK) for place in places):
        raise LookupError(f"{places[0]} cannot be read: run as root, or mount it with a gid= of yours")
    raise LookupError(f"the kernel has no tracepoint {name}: use one with CONFIG_FTRACE_SYSCALLS")


def mounts(root: Path) -> list[Path]:
    """Return the folders that hold the list, by the mounts of this process; one that another mount hides is none."""
    lines = text(root / "self" / "mounts") or ""
    return [
        Path(folder, "" if kind == "tracefs" else "tracing")
        for folder, kind in _MOUNTED.findall(lines)
        if os.path.lexists(folder)
    ]
