"""What a command of ``memperf`` is made of."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Protocol

MISTAKE = 2
"""Exit code of a call that is wrong."""
INTERRUPTED = 130
"""Exit code of a command that Ctrl-C has ended."""


class Command(Protocol):
    """The module of a command."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add its options."""

    def run(self, options: argparse.Namespace) -> int:
        """Do the work and return the exit code. UsageMistake is shown as one line, with exit code 2."""


@contextlib.contextmanager
def readers_may_leave() -> Iterator[None]:
    """Write to standard output, of which a reader need not take all: ``memperf ab | head`` has its own exit code."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()


def drop_output() -> None:
    """Let what Python still has to write go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
