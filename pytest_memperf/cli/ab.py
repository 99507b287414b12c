"""``memperf ab``: two states of a project, interleaved on this machine: the gate."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_memperf.baseline.ab import gate
from pytest_memperf.baseline.ab.environments import INSTALL, build, build_of_requirements
from pytest_memperf.baseline.ab.gone import add_gone, tests_of
from pytest_memperf.baseline.ab.neutral import leave_out
from pytest_memperf.baseline.ab.repository import Repository, State
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

NAMES = ("base", "head")
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
        "--side", action="append", default=[], metavar="NAME=PYTHON",
        help="an interpreter that has the project installed, for base and for head, instead of commits",
    )  # fmt: skip
    parser.add_argument(
        "--requirement", action="append", default=[], metavar="REQUIREMENTS",
        help="what pip installs for a side, such as 'numpy==2.2.0', or a file of requirements; twice, base first",
    )  # fmt: skip
    parser.add_argument("--install", default=INSTALL, metavar="COMMAND", help=f"builds a commit's side ({INSTALL})")
    parser.add_argument("--project", default="", metavar="FOLDER", help="the project's folder in its repository")
    parser.add_argument(
        "--max-time", type=_seconds, default=20.0, metavar="TIME",
        help="that a test's times may take until they tell something, such as 60 or '2 min' (20 s)",
    )  # fmt: skip
    add_outcome_arguments(parser)
    parser.set_defaults(pytest_arguments=[])
    parser.epilog = EPILOG


def run(options: argparse.Namespace) -> int:
    """Run the tests on both sides, print what became of them, and return the exit code."""
    words: list[str] = options.states
    check_reports(options)
    limits = Limits.parse(options.fail)
    with contextlib.ExitStack() as at_the_end:
        folder = at_the_end.enter_context(workplace())
        if sum(map(bool, (words, options.side, options.requirement))) > 1:
            raise UsageMistake("give BASE and HEAD, or --side twice, or --requirement twice: not both")
        if options.side:
            (pythons, described), tests = _given(options.side), (Path.cwd(), Path.cwd())
        elif options.requirement:
            (pythons, described), tests = _required(options.requirement), (Path.cwd(), Path.cwd())
        else:
            pythons, described, tests = _built(words, options, folder)
        tools = folder / "tools"
        link_tools(tools)
        sides = []
        for name, python in zip(NAMES, pythons, strict=True):
            sides.append(Side(name, python, tests[1], tools, options.pytest_arguments))
            at_the_end.callback(sides[-1].close)
            sides[-1].collect()  # one after the other: the first compiles the tests for both
        if not sides[1].tests:
            raise UsageMistake(_nothing(sides[1]))
        former: list[str] = []
        if tests[0] != tests[1]:
            former = tests_of(Side("former", pythons[0], tests[0], tools, options.pytest_arguments))
        request = gate.Request(limits, keeps_same(options), options.max_time)
        found = gate.run(sides[0], sides[1], request, _tell)
    add_gone(found.outcome, former, sides[1])
    found.outcome.base, found.outcome.head = described
    found.outcome.failed = {**dict(found.failed), **sides[1].uncollected}
    found.outcome.folder = options.project
    _tell("")
    if found.outcome.metrics:
        check_names(limits, [found.outcome])
    write_outcomes(options, [found.outcome])
    for test, reason in found.failed:
        print(f"memperf: {test} fails on head: {reason}", file=sys.stderr)
    for name, side in zip(NAMES, sides, strict=True):
        for module, reason in side.uncollected.items():
            print(f"memperf: {module} cannot be imported on {name}: {reason}", file=sys.stderr)
    if found.left:
        print(f"memperf: interrupted, with {found.left} of {len(sides[1].tests)} tests left", file=sys.stderr)
        return INTERRUPTED
    return exit_code([found.outcome], options.strict)


def _seconds(text: str) -> float:
    return duration(number_or_text(text))


def _given(sides: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the interpreters of --side, and what to call them."""
    given = dict(each.partition("=")[::2] for each in sides)
    if sorted(given) != sorted(NAMES) or len(sides) != len(NAMES):
        raise UsageMistake("--side: give two, base=PYTHON and head=PYTHON")
    for name in NAMES:
        if shutil.which(given[name]) is None:
            raise UsageMistake(f"--side {name}={given[name]}: there is no such program: name an interpreter")
    pythons = [Path(os.path.abspath(shutil.which(given[name]) or "")) for name in NAMES]
    return pythons, [str(python) for python in pythons]


def _required(requirements: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return interpreters with the requirements of each side, and what to call them."""
    if len(requirements) != len(NAMES):
        raise UsageMistake("--requirement: give it twice, for base and for head")
    built = []
    for name, each in zip(NAMES, requirements, strict=True):
        _tell(f"{name}: {each}")
        built.append(build_of_requirements(each).python)
    return built, list(requirements)


def _built(
    words: Sequence[str], options: argparse.Namespace, folder: Path
) -> tuple[list[Path], list[str], tuple[Path, Path]]:
    """Return interpreters with the two states installed, what to call them, and where the tests of each are."""
    repository = Repository(Path.cwd())
    if len(words) not in (0, 2):
        raise UsageMistake("give BASE and HEAD, or neither (memperf ab --help)")
    states: Sequence[State] = [repository.state(word) for word in words] or repository.chosen()
    project = options.project.strip("/")
    built = []
    for name, state in zip(NAMES, states, strict=True):
        _tell(f"{name}: {state.described}")
        built.append(build(repository, state, project, options.install))
    packages = {package for each in built for package in each.packages}
    places = (folder / "former", folder / "tests")
    for state, place in zip(states, places, strict=True):
        if state is states[1] or state.key != states[1].key:
            repository.copy(state, place)
            leave_out(place, project, packages)
    former = places[0] if places[0].exists() else places[1]
    return (
        [each.python for each in built],
        [state.described for state in states],
        (former / project, places[1] / project),
    )


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
