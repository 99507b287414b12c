"""What a command of ``memperf`` is made of."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C has ended."""


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the list of commands."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Does the work and returns the exit code. UsageMistake is shown as one line, with exit code 2."""
