"""``memperf ab``: two states of a project, interleaved on this machine: the gate."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_memperf.baseline.ab.environments import INSTALL
from pytest_memperf.baseline.ab.gate import Gate
from pytest_memperf.baseline.ab.pair import NAMES
from pytest_memperf.baseline.ab.repository import Repository
from pytest_memperf.baseline.ab.task import TESTS, Task, carry_out
from pytest_memperf.cli.command import INTERRUPTED, MISTAKE
from pytest_memperf.cli.hosts import on_hosts
from pytest_memperf.cli.outcomes import (
    NOTHING_JUDGED,
    REGRESSION,
    add_outcome_arguments,
    check_names,
    check_reports,
    check_units,
    exit_code,
    keeps_same,
    write_outcomes,
)
from pytest_memperf.cli.sides import tell as remark
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.values import duration, number_or_text

WORST = (INTERRUPTED, MISTAKE, REGRESSION, NOTHING_JUDGED, 0)
"""The exit codes of machines, in the order in which one stands for all."""
EPILOG = """
Without BASE and HEAD: in the checkout of a pull request (a merge commit) its first parent against it, else the commit
where the branch left the default one against the working tree. The tests of HEAD run on both sides, those that are
marked or, with "-- --memperf-all", all. What follows "--" goes to pytest: files, -k and so on.

With --tx SPEC (repeatable) other machines run it, each for itself and all at once: ssh=user@host//python=python3.12
and others of execnet. They need git and the same pytest-memperf; here it takes pip install pytest-memperf[remote].

Exit code: 0 without a regression, 1 with one or where a test fails on HEAD or cannot be imported there, 2 for a mistake
in the call or a side that is not what it claims to be, 3 where nothing could be judged (with
--strict: where something could not), 130 where it was interrupted, by Ctrl-C or SIGTERM: it tells what it has by then.
Of several machines: the worst.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.usage = "memperf ab [OPTIONS] [BASE HEAD] [-- PYTEST ARGUMENTS]"
    parser.add_argument("states", metavar="BASE HEAD", nargs="*", help="two commits, by any name that git knows")
    parser.add_argument(
        "--side", action="append", default=[], metavar="NAME=PYTHON|WHEEL",
        help="an interpreter that has the project installed, or a wheel of it, for base and for head, not commits",
    )  # fmt: skip
    parser.add_argument(
        "--requirement", action="append", default=[], metavar="REQUIREMENTS",
        help="what pip installs for a side, such as 'numpy==2.2.0', or a file of requirements; twice, base first",
    )  # fmt: skip
    parser.add_argument("--install", default=INSTALL, metavar="COMMAND", help=f"builds a commit's side ({INSTALL})")
    parser.add_argument(
        "--python",
        metavar="PYTHON",
        help="makes the environments: a version such as 3.12, or a path (the one that runs this)",
    )
    parser.add_argument(
        "--tests", default="head", metavar="WHOSE", help="tests that run: head, base, or own, each side its own (head)"
    )
    parser.add_argument("--project", default="", metavar="FOLDER", help="the project's folder in its repository")
    parser.add_argument(
        "--max-time", type=_seconds, metavar="TIME",
        help="that times may take until they tell something, such as 60 or '2 min' "
        "(8 s, or a tenth of what counts and bytes took; up to 40 s where that can be foretold to tell them)",
    )  # fmt: skip
    parser.add_argument(
        "--max-retakes", type=_number, default=3, metavar="NUMBER",
        help="how often a sample is taken anew that the machine spoilt: it swapped, or refused huge pages (3)",
    )  # fmt: skip
    parser.add_argument(
        "--tx", action="append", default=[], metavar="SPEC",
        help="run on this machine, not here: ssh=user@host, or another specification of execnet; can be repeated",
    )  # fmt: skip
    add_outcome_arguments(parser)
    parser.set_defaults(pytest_arguments=[])
    parser.epilog = EPILOG


def run(options: argparse.Namespace) -> int:
    """Run the tests on both sides, print what became of them, and return the exit code."""
    if options.tests not in TESTS:
        raise UsageMistake(f"--tests={options.tests}: choose from {', '.join(TESTS)}")
    check_reports(options)
    limits = Limits.parse(options.fail)
    check_units(limits)
    with _termination_interrupts():
        try:
            task, codes = _task(options), list[int]()
            if options.tx:
                found, codes = on_hosts(options.tx, task, _tell)
            else:
                found = [carry_out(task, _tell)]
        finally:
            _tell("")
    for gate in found:
        gate.outcome.folder = options.project
    outcomes = [gate.outcome for gate in found]
    if outcomes:
        write_outcomes(options, outcomes)
    for gate in found:
        for line in _remarks(gate):
            remark(f"{gate.outcome.host}: {line}" if gate.outcome.host else line)
        codes.append(_code(gate, options.strict))
    if INTERRUPTED not in codes:
        check_names(limits, outcomes)
    return min(codes, key=WORST.index)


def _code(gate: Gate, strict: bool) -> int:
    if gate.left:
        return INTERRUPTED
    return MISTAKE if gate.mistake else exit_code([gate.outcome], strict)


@contextlib.contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Have SIGTERM, by which a cancelled job is ended, do what Ctrl-C does."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _remarks(gate: Gate) -> Iterator[str]:
    """Yield what is said of a run beside its outcome."""
    for test, reason in gate.failed:
        yield f"{test} fails on head: {reason}"
    for name, modules in gate.uncollected.items():
        for module, reason in modules.items():
            yield f"{module} cannot be imported on {name}: {reason}"
    if gate.mistake:
        yield gate.mistake


def _task(options: argparse.Namespace) -> Task:
    """Return what the options ask for, with commits for their names."""
    words: list[str] = options.states
    if sum(map(bool, (words, options.side, options.requirement))) > 1:
        raise UsageMistake("give BASE and HEAD, or --side twice, or --requirement twice: not both")
    states = None
    if options.side or options.requirement:
        if options.tests != "head":
            raise UsageMistake(f"--tests={options.tests} is for commits: here the tests are those of this folder")
        if options.requirement and len(options.requirement) != len(NAMES):
            raise UsageMistake("--requirement: give it twice, for base and for head")
    elif len(words) not in (0, 2):
        raise UsageMistake("give BASE and HEAD, or neither; what pytest is to get stands behind -- (memperf ab --help)")
    else:
        repository = Repository(Path.cwd())
        base, head = [repository.state(word) for word in words] or repository.chosen()
        states = base, head
    return Task(
        states, options.side, options.requirement, options.python, options.install, options.project.strip("/"),
        options.tests, options.fail, keeps_same(options), options.max_time, options.max_retakes,
        options.pytest_arguments,
    )  # fmt: skip


def _seconds(text: str) -> float:
    try:
        return duration(number_or_text(text))
    except UsageMistake as mistake:
        raise argparse.ArgumentTypeError(str(mistake)) from None


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of times: give 0 or more")
    return int(text)


def _tell(text: str) -> None:
    """Show what is under way, where somebody looks."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\033[K{text[:width]}")
        sys.stderr.flush()
