"""The two sides that were asked for: their interpreters, and where the tests of each lie."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_memperf.baseline.ab.environments import build, build_of_requirements, build_of_wheel
from pytest_memperf.baseline.ab.interpreter import Interpreter
from pytest_memperf.baseline.ab.neutral import leave_out
from pytest_memperf.baseline.ab.repository import Repository, State
from pytest_memperf.model.errors import UsageMistake

NAMES = ("base", "head")
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pair:
    """Base and head; of each, in this order."""

    pythons: tuple[Path, Path]
    described: tuple[str, str]
    tests: tuple[Path, Path]
    """The folders with the tests of either; one folder for both, where they have the same."""


def of_commits(
    repository: Repository, states: tuple[State, State], project: str, install: str, python: Interpreter,
    folder: Path, tell: Tell,
) -> Pair:  # fmt: skip
    """Build both states, and copy the tests of each into the folder, without the project's own packages."""
    built = []
    for name, state in zip(NAMES, states, strict=True):
        tell(f"{name}: {state.described}")
        built.append(build(repository, state, project, install, python))
    packages = {package for each in built for package in each.packages}
    # Of one length, as all that differs between the sides but their code.
    former, latter = folder / "former", folder / "latter"
    places = (latter if states[0].key == states[1].key else former, latter)
    for place, state in dict(zip(places, states, strict=True)).items():
        repository.copy(state, place)
        leave_out(place, project, packages)
    return Pair(
        (built[0].python, built[1].python),
        (states[0].described, states[1].described),
        (places[0] / project, places[1] / project),
    )


def of_requirements(requirements: Sequence[str], python: Interpreter, tell: Tell, called: str = "") -> Pair:
    """Install the requirements of each side; the tests are those of the current folder.

    Args:
        called: see ``build_of_requirements``.
    """
    pythons = []
    for name, each in zip(NAMES, requirements, strict=True):
        tell(f"{name}: {each}")
        pythons.append(build_of_requirements(each, python, called).python)
    return _here(pythons, requirements)


def of_sides(sides: Sequence[str], python: Interpreter, tell: Tell) -> Pair:
    """Take what is built, ``NAME=PYTHON`` or ``NAME=WHEEL``; the tests are those of the current folder."""
    given = dict(each.partition("=")[::2] for each in sides)
    if sorted(given) != sorted(NAMES) or len(sides) != len(NAMES):
        raise UsageMistake("--side: give two, base=PYTHON and head=PYTHON, or wheels")
    pythons = []
    for name in NAMES:
        if given[name].endswith(".whl"):
            if not os.path.isfile(given[name]):
                raise UsageMistake(f"--side {name}={given[name]}: there is no such wheel: build it first")
            tell(f"{name}: {given[name]}")
            pythons.append(build_of_wheel(Path(given[name]), python).python)
        elif (found := shutil.which(given[name])) is None:
            raise UsageMistake(f"--side {name}={given[name]}: there is no such program: name an interpreter or a wheel")
        else:
            pythons.append(Path(os.path.abspath(found)))
    return _here(pythons, [given[name] for name in NAMES])


def _here(pythons: Sequence[Path], described: Sequence[str]) -> Pair:
    return Pair((pythons[0], pythons[1]), (described[0], described[1]), (Path.cwd(), Path.cwd()))
