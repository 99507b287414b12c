"""What the checkers share: how pytest runs under them, and an error that each of them has to find first."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

TESTS = Path(__file__).parents[1]
PROJECT = TESTS.parent
# By the program: by -m it would import the checkout, not what is installed.
PYTEST = (
    sys.executable, str(Path(sys.executable).with_name("pytest")), "-rs",
    "-p", "memperf", "-p", "hypothesispytest", "-p", "no:cacheprovider",
)  # fmt: skip
VARIABLES = {
    "PYTHONMALLOC": "malloc",  # so that each block of Python's is one that the checker knows
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # others take as long as the tests
}
BEYOND_A_BLOCK = """
import ctypes
from cyx import patterns

block = ctypes.create_string_buffer(64)
patterns.scan((ctypes.c_char * 65).from_address(ctypes.addressof(block)))
"""


def end(message: str) -> NoReturn:
    """Say what is wrong, and end."""
    sys.exit(f"tests/checkers/{Path(sys.argv[0]).name}: {message}")


def deselected(left_out: Iterable[str]) -> list[str]:
    """Return pytest's options that leave out these tests."""
    return [f"--deselect={(TESTS / test).relative_to(PROJECT)}" for test in left_out]


def verdict(status: int, found: Sequence[str], what: str, left_out: Mapping[str, str]) -> int:
    """Print what was found, and the tests that were left out with their reasons; return the exit code."""
    print("\n".join(found))
    print(f"{len(found)} {what}; left out:")
    for test, reason in left_out.items():
        print(f"  {test}: {reason}")
    return status or len(found) > 0


def plant(environment: Mapping[str, str], before: Sequence[str] = ()) -> None:
    """Read a byte too many, under the command before it; away from the checkout, for the same reason."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*before, sys.executable, "-c", BEYOND_A_BLOCK]
        subprocess.run(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
