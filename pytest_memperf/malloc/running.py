"""A whole command under one library after the other, in turns, and what the kernel says that each run took."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cyx import process
from pytest_memperf.malloc import Malloc, counting, runner
from pytest_memperf.malloc.preload import VARIABLE, environment_under
from pytest_memperf.model.signals import ending

_TAIL = 2_000
"""Bytes of what a command wrote that are kept."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a run took, with the children that it waited for (getrusage(2))."""

    wall_time: float
    cpu_time: float
    """Seconds of user and system time."""
    minor_faults: int
    major_faults: int
    peak_rss: int
    """Bytes, of the largest of its processes."""
    least: int
    """Bytes that the process had before it became the command: no peak below can be seen."""


class CommandFailed(Exception):
    """A run that did not end with 0."""

    def __init__(self, how: str, said: str) -> None:
        """Keep what is known of it.

        Args:
            how: the status or the signal.
            said: the end of what it wrote.
        """
        super().__init__(how)
        self.how = how
        self.said = said


def run(command: Sequence[str], malloc: Malloc, counts: Path | None = None) -> Usage:
    """Run the command, which gets no input and whose output is dropped. CommandFailed where it does not end with 0.

    Args:
        command: its name and its arguments.
        malloc: the library that is to serve it.
        counts: the file for what goes through malloc; None where that is not counted.
    """
    environment = environment_under(malloc, os.environ)
    own = {name: value for name, value in os.environ.items() if name not in (VARIABLE, counting.FILE)}
    if counts is not None:
        environment = counting.environment_counted(environment)
        own[counting.FILE] = str(counts)
    file = shutil.which(command[0]) or command[0]
    started = [sys.executable, "-I", "-S", runner.__file__, environment.get(VARIABLE, ""), file, *command]
    with tempfile.TemporaryFile() as output:
        told = subprocess.run(
            started, env=own, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, preexec_fn=_end_with_us
        )
        found = json.loads(told.stdout) if told.returncode == 0 else {"status": told.returncode}
        status = found.pop("status")
        if status:
            output.seek(max(0, output.seek(0, os.SEEK_END) - _TAIL))
            raise CommandFailed(ending(status), output.read().decode(errors="replace"))
    return Usage(**found)


def in_turns(command: Sequence[str], mallocs: Sequence[Malloc], rounds: int) -> dict[str, list[Usage]]:
    """Return so many runs under each library, by its name, after one under each that is not counted.

    CommandFailed with the library's name for one that does not end with 0.
    """
    usages: dict[str, list[Usage]] = {each.name: [] for each in mallocs}
    for number in range(rounds + 1):
        # Each time another one comes first: what the machine does meanwhile is then nobody's alone.
        start = number % len(mallocs)
        for malloc in (*mallocs[start:], *mallocs[:start]):
            try:
                usage = run(command, malloc)
            except CommandFailed as failed:
                raise CommandFailed(f"{failed.how} under {malloc.name}", failed.said) from None
            if number:
                usages[malloc.name].append(usage)
    return usages


def counted(command: Sequence[str], mallocs: Sequence[Malloc]) -> dict[str, counting.Counts | str]:
    """Return what goes through malloc in one more run under each library, or why that is not known.

    CommandFailed with the library's name for one that does not end with 0.
    """
    found: dict[str, counting.Counts | str] = {}
    for malloc in mallocs:
        with counting.counts_of_processes() as file:
            try:
                run(command, malloc, file.path)
            except CommandFailed as failed:
                raise CommandFailed(f"{failed.how} under {malloc.name}", failed.said) from None
            found[malloc.name] = file.read()
    return found


def _end_with_us() -> None:
    process.die_with_parent(signal.SIGKILL)
