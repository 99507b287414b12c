"""The ``memperf`` command: one file for each of its commands."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn, cast

from pytest_memperf import __version__
from pytest_memperf.cli.command import INTERRUPTED, MISTAKE, Command, drop_output, readers_may_leave
from pytest_memperf.model.errors import UsageMistake, nearest

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "ab": "Run two commits in turns on this machine, and fail on a regression: the gate.",
    "allocators": "Run a command under each library for malloc, in turns, or list the libraries.",
    "compare": "Compare saved runs: what became worse, and how sure that is.",
    "copy": "Copy saved runs from one storage to another, without loss.",
    "doctor": "Show what this machine can and cannot measure, why, and the mend.",
    "export": "Write a run in the format of another tool.",
    "history": "Show a test's metrics over the saved runs, and which commit changed them.",
    "hugepages": "Show, reserve and mount huge pages, and undo it.",
    "prune": "Delete saved runs: all but the last ones, or the old ones.",
}
"""By name, which is that of its module here, what each is for. Only the one that is called is imported."""
PYTEST_ARGUMENTS = "pytest_arguments"
"""The attribute of a command's options that holds what stands behind ``--``, where it takes that."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageMistake(f"{message} (see {self.prog} --help)")


def _parser(called: str | None) -> argparse.ArgumentParser:
    """Return the parser with the arguments of the command that is called."""
    parser = _Parser(
        prog="memperf", description="Memory performance, measured and held to budgets.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"pytest-memperf {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        row = commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)
        if name == called:
            command = cast(Command, importlib.import_module(f"{__name__}.{name}"))
            command.add_arguments(row)
            row.set_defaults(run=command.run)
    return parser


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the command's own words, and those behind ``--``."""
    place = words.index("--") if "--" in words else len(words)
    return list(words[:place]), list(words[place + 1 :])


def _command(arguments: Sequence[str]) -> str | None:
    """Return the command that is called; None where only options are there. UsageMistake where it is none."""
    first = next((word for word in arguments if not word.startswith("-")), None)
    if first is None and not arguments:
        raise UsageMistake(f"name a command: {', '.join(COMMANDS)} (see memperf --help)")
    if first is not None and first not in COMMANDS:
        raise UsageMistake(f"there is no command {first!r}{nearest(first, COMMANDS)} (see memperf --help)")
    return first


def _check_empty(arguments: Sequence[str]) -> None:
    """Refuse what a variable of a script that is not set leaves: it would mean everything, or the current folder."""
    for before, word in pairwise(("", *arguments)):
        option, sign, value = word.partition("=")
        if word and not (option.startswith("--") and sign and not value):
            continue
        name = option or (before if before.startswith("--") and "=" not in before else "an argument")
        raise UsageMistake(f"{name} is empty: give it a value, or leave it out")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; a user's mistake is one line on standard error and 2."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for names that its encoding lacks
    try:
        own, others = _split(words)
        called = _command(own)
        _check_empty(own)
        options = _parser(called).parse_args(own)
        if others and not hasattr(options, PYTEST_ARGUMENTS):
            raise UsageMistake(f"memperf {options.command} takes nothing behind --: leave that out")
        setattr(options, PYTEST_ARGUMENTS, others)
        code: int = options.run(options)
        with readers_may_leave():
            return code
    except UsageMistake as mistake:
        print(f"memperf: {mistake}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        drop_output()  # the reader has left, as in memperf doctor | head
        return 0
    except OSError as error:
        drop_output()
        what = f"{error.filename} cannot be read or written" if error.filename else "the output cannot be written"
        print(f"memperf: {what} ({error.strerror})", file=sys.stderr)
        return MISTAKE
