"""What a run of the gate is asked for, and the run itself: here, or on a machine that the task was sent to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_memperf.baseline.ab import gate
from pytest_memperf.baseline.ab.environments import INSTALL
from pytest_memperf.baseline.ab.gone import add_gone, tests_of
from pytest_memperf.baseline.ab.interpreter import OWN, find_interpreter
from pytest_memperf.baseline.ab.pair import NAMES, Pair, of_commits, of_requirements, of_sides
from pytest_memperf.baseline.ab.repository import Repository, State
from pytest_memperf.baseline.ab.side import Side
from pytest_memperf.baseline.ab.tools import link_tools
from pytest_memperf.baseline.ab.workplace import workplace
from pytest_memperf.baseline.compatibility import entries_apart
from pytest_memperf.model.errors import UsageMistake
from pytest_memperf.model.limits import Limits

TESTS: Mapping[str, Callable[[tuple[Path, Path]], tuple[Path, Path]]] = {
    "head": lambda tests: (tests[1], tests[1]),
    "base": lambda tests: (tests[0], tests[0]),
    "own": lambda tests: tests,
}
"""By what --tests names: the folder for each side, of those with the tests of base and of head."""
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Task:
    """The sides, which are one of three kinds, their tests, and how far to look. All of it is plain data."""

    states: tuple[State, State] | None = None
    sides: Sequence[str] = ()
    requirements: Sequence[str] = ()
    python: str | None = None
    install: str = INSTALL
    project: str = ""
    tests: str = "head"
    fail: Sequence[str] = ()
    keep_same: bool = False
    max_time: float | None = None
    max_retakes: int = 3
    arguments: Sequence[str] = ()
    """Those of pytest."""
    called: str = ""
    """What environments are kept under, where the current folder is a passing copy."""

    def as_json(self) -> dict[str, Any]:
        """Return this as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        """Return what ``as_json`` wrote."""
        states = data["states"] and tuple(State(**state) for state in data["states"])
        return cls(**{**data, "states": states})


def carry_out(task: Task, tell: Tell) -> gate.Gate:
    """Make both sides of the current folder's project ready, and run the gate on them. UsageMistake where one is not.

    Args:
        tell: takes what is under way.
    """
    limits = Limits.parse(task.fail)
    with contextlib.ExitStack() as at_the_end:
        folder = at_the_end.enter_context(workplace())
        pair = _asked(task, folder, tell)
        tests = TESTS[task.tests](pair.tests)
        tools = folder / "tools"
        link_tools(tools)
        sides = []
        for name, python, place in zip(NAMES, pair.pythons, tests, strict=True):
            sides.append(Side(name, python, place, tools, task.arguments))
            at_the_end.callback(sides[-1].close)
        for side in sides:
            side.collect()
        base, head = sides
        if not head.tests:
            raise UsageMistake(_nothing(head))
        former = base.tests if task.tests == "own" else []
        if pair.tests[0] not in tests:
            former = tests_of(Side("former", pair.pythons[0], pair.tests[0], tools, task.arguments))
        request = gate.Request(limits, task.keep_same, task.max_time, task.max_retakes)
        found = gate.run(base, head, request, tell)
    add_gone(found.outcome, former, head)
    found.outcome.base, found.outcome.head = pair.described
    if others := [*entries_apart(base.versions, head.versions)]:
        found.outcome.notes.append(f"beside the project, the sides differ in {', '.join(others)}")
    found.outcome.failed = {**dict(found.failed), **head.uncollected}
    found.uncollected = {side.name: side.uncollected for side in sides}
    return found


def _asked(task: Task, folder: Path, tell: Tell) -> Pair:
    """Return the sides, made ready; tests are copied into the folder."""
    try:
        python = find_interpreter(task.python) if task.python else OWN
    except UsageMistake as mistake:
        raise UsageMistake(f"--python={task.python}: {mistake}") from None
    if task.sides:
        return of_sides(task.sides, python, tell)
    if task.requirements:
        return of_requirements(task.requirements, python, tell, task.called)
    if task.states is None:
        raise ValueError("a task without sides")
    repository = Repository(Path.cwd(), task.called)
    return of_commits(repository, task.states, task.project, task.install, python, folder, tell)


def _nothing(head: Side) -> str:
    for module, reason in head.uncollected.items():
        return f"head has no test to measure, and {module} cannot be imported: {reason}"
    return "head has no test to measure: mark some with pytest.mark.memperf, or add -- --memperf-all"
