"""Who made something that must not outlive it: a process, told apart from a later one with the same number."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pytest_memperf.environment.files import text


@dataclass(frozen=True, slots=True)
class Owner:
    """A process of one start of the machine."""

    pid: int
    start: str
    """When it started, in ticks since the machine did."""
    boot: str
    """The start of the machine, and the namespace in which the number holds."""

    def is_dead(self) -> bool:
        """Tell whether the process has ended for certain; nobody can say so of one elsewhere."""
        return self.boot == this_boot() and start_of(self.pid) != self.start


def this_process() -> Owner:
    """Return the process that runs this."""
    return Owner(os.getpid(), start_of(os.getpid()) or "", this_boot())


def this_boot() -> str:
    """Return a name of this start of the machine and this namespace of processes; letters, digits and hyphens."""
    boot = text(Path("/proc/sys/kernel/random/boot_id")) or "unknown"
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        namespace = 0
    return f"{boot[:8]}-{namespace}"


def start_of(pid: int) -> str | None:
    """Return when the process started; None where there is none, or but its exit status."""
    status = text(Path(f"/proc/{pid}/stat"))
    if status is None:
        return None
    fields = status.rpartition(")")[2].split()  # the name in brackets may hold anything
    return None if fields[0] in "ZX" else fields[19]
