"""``memperf ab``: two states of a project, interleaved on this machine: the gate."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_memperf.baseline.ab import gate
from pytest_memperf.baseline.ab.environments import INSTALL
from pytest_memperf.baseline.ab.gone import add_gone, tests_of
from pytest_memperf.baseline.ab.interpreter import OWN, find_interpreter
from pytest_memperf.baseline.ab.pair import NAMES, Pair, of_commits, of_requirements, of_sides
from pytest_memperf.baseline.ab.repository import Repository
from pytest_memperf.baseline.ab.side import Side
from pytest_memperf.baseline.ab.tools import link_tools
from pytest_memperf.baseline.ab.workplace import workplace
from pytest_memperf.cli.command import INTERRUPTED, Command
from pytest_memperf.cli.outcomes import (
    add_outcome_arguments,
    check_names,
    check_reports,
    exit_code,
    keeps_same,
    write_outcomes,
)
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.limits import Limits
from pytest_memperf.model.values import duration, number_or_text

TESTS: Mapping[str, Callable[[tuple[Path, Path]], tuple[Path, Path]]] = {
    "head": lambda tests: (tests[1], tests[1]),
    "base": lambda tests: (tests[0], tests[0]),
    "own": lambda tests: tests,
}
"""By what --tests names: the folder for each side, of those with the tests of base and of head."""
EPILOG = """
Without BASE and HEAD: in the checkout of a pull request (a merge commit) its first parent against it, else the commit
where the branch left the default one against the working tree. The tests of HEAD run on both sides, those that are
marked or, with "-- --memperf-all", all. What follows "--" goes to pytest: files, -k and so on.

Exit code: 0 without a regression, 1 with one or where a test fails on HEAD or cannot be imported there, 2 for a mistake
in the call or a side that is not what it claims to be, 3 where nothing could be judged (with
--strict: where something could not), 130 where it was interrupted: it tells what it has by then.
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
        "(8 s, or a tenth of what counts and bytes took; up to 20 s where one test needs them)",
    )  # fmt: skip
    parser.add_argument(
        "--max-retakes", type=_number, default=3, metavar="NUMBER",
        help="how often a sample is taken anew that the machine spoilt: it swapped, or refused huge pages (3)",
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
    try:
        found, uncollected = _judged(options, limits)
    finally:
        _tell("")
    write_outcomes(options, [found.outcome])
    if found.outcome.metrics:
        check_names(limits, [found.outcome])
    for test, reason in found.failed:
        print(f"memperf: {test} fails on head: {reason}", file=sys.stderr)
    for name, modules in uncollected.items():
        for module, reason in modules.items():
            print(f"memperf: {module} cannot be imported on {name}: {reason}", file=sys.stderr)
    if found.retaken:
        print(f"memperf: the machine spoilt samples; taken anew: {found.retaken} of {found.runs}", file=sys.stderr)
    if found.left:
        print(f"memperf: interrupted, with {found.left} of {found.tests} tests left", file=sys.stderr)
        return INTERRUPTED
    return exit_code([found.outcome], options.strict)


def _judged(options: argparse.Namespace, limits: Limits) -> tuple[gate.Gate, dict[str, dict[str, str]]]:
    """Run the gate on the sides that are asked for; return also what modules each could not import, and why."""
    with contextlib.ExitStack() as at_the_end:
        folder = at_the_end.enter_context(workplace())
        pair = _asked(options, folder)
        tests = TESTS[options.tests](pair.tests)
        tools = folder / "tools"
        link_tools(tools)
        sides = []
        for name, python, place in zip(NAMES, pair.pythons, tests, strict=True):
            sides.append(Side(name, python, place, tools, options.pytest_arguments))
            at_the_end.callback(sides[-1].close)
        for side in sides:
            side.collect()
        base, head = sides
        if not head.tests:
            raise UsageMistake(_nothing(head))
        former = base.tests if options.tests == "own" else []
        if pair.tests[0] not in tests:
            former = tests_of(Side("former", pair.pythons[0], pair.tests[0], tools, options.pytest_arguments))
        request = gate.Request(limits, keeps_same(options), options.max_time, options.max_retakes)
        found = gate.run(base, head, request, _tell)
    add_gone(found.outcome, former, head)
    found.outcome.base, found.outcome.head = pair.described
    found.outcome.failed = {**dict(found.failed), **head.uncollected}
    found.outcome.folder = options.project
    return found, {side.name: side.uncollected for side in sides}


def _asked(options: argparse.Namespace, folder: Path) -> Pair:
    """Return the sides that the options name, made ready; tests are copied into the folder."""
    words: list[str] = options.states
    if sum(map(bool, (words, options.side, options.requirement))) > 1:
        raise UsageMistake("give BASE and HEAD, or --side twice, or --requirement twice: not both")
    try:
        python = find_interpreter(options.python) if options.python else OWN
    except UsageMistake as mistake:
        raise UsageMistake(f"--python={options.python}: {mistake}") from None
    if options.side or options.requirement:
        if options.tests != "head":
            raise UsageMistake(f"--tests={options.tests} is for commits: here the tests are those of this folder")
        if options.side:
            return of_sides(options.side, python, _tell)
        return of_requirements(options.requirement, python, _tell)
    if len(words) not in (0, 2):
        raise UsageMistake("give BASE and HEAD, or neither (memperf ab --help)")
    repository = Repository(Path.cwd())
    base, head = [repository.state(word) for word in words] or repository.chosen()
    return of_commits(repository, (base, head), options.project.strip("/"), options.install, python, folder, _tell)


def _seconds(text: str) -> float:
    try:
        return duration(number_or_text(text))
    except UsageMistake as mistake:
        raise argparse.ArgumentTypeError(str(mistake)) from None


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of times: give 0 or more")
    return int(text)


def _nothing(head: Side) -> str:
    for module, reason in head.uncollected.items():
        return f"head has no test to measure, and {module} cannot be imported: {reason}"
    return "head has no test to measure: mark some with pytest.mark.memperf, or add -- --memperf-all"


def _tell(text: str) -> None:
    """Show what is under way, where somebody looks."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\033[K{text[:width]}")
        sys.stderr.flush()


AB = Command("ab", "Run two commits in turns on this machine, and fail on a regression: the gate.", add_arguments, run)
