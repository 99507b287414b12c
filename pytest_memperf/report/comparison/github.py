"""A comparison as workflow commands of GitHub Actions: each test with a regression is an annotation on its line."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from pytest_memperf.model.outcome import Outcome
from pytest_memperf.report.comparison import markdown
from pytest_memperf.report.comparison.texts import USUAL, Order, headline, rows, sentence, summary
from pytest_memperf.report.json_file import cannot_write
from pytest_memperf.report.table import printable

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file to which a step adds what the page of the run shows."""
WORKSPACE = "GITHUB_WORKSPACE"
"""The variable that names the folder of the checkout: paths of annotations begin there."""


def write(file: TextIO, outcomes: list[Outcome], order: Order = USUAL) -> None:
    """Write the commands, and add the comparison in markdown to the summary of the step where there is one.

    UsageMistake where that cannot be written.
    """
    for outcome in outcomes:
        sources = Sources(outcome.folder)
        for test, found in _annotations(outcome, order).items():
            name, _, rest = test.partition("::")
            on = f" on {outcome.host}" if outcome.host else ""
            title = printable(f"{', '.join(dict.fromkeys(found.about))} of {rest or name}{on}")
            file.write(_command("error", "\n".join(found.lines), **sources.place(name, rest), title=title))
        fine = outcome.judged and not (outcome.failing or outcome.failed or outcome.undecided or outcome.interrupted)
        upshot = f"{headline(outcome)}: {outcome.head} against {outcome.base}: {summary(outcome)}"
        upshot = "\n".join([upshot, *map(printable, outcome.notes)])
        file.write(_command("notice" if fine else "warning", upshot, title="memperf"))
    path = os.environ.get(SUMMARY)
    if path:
        try:
            with open(path, "a", encoding="utf-8", errors="backslashreplace") as opened:
                markdown.write(opened, outcomes, order)
        except OSError as error:
            raise cannot_write(path, error) from None


@dataclass(slots=True)
class _Annotation:
    """What is wrong with a test: one annotation, for GitHub shows ten of a step."""

    about: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def _annotations(outcome: Outcome, order: Order) -> dict[str, _Annotation]:
    """Return what is wrong by test, those with a regression first, and where it comes from."""
    found: dict[str, _Annotation] = {}
    for comparison, texts in rows(outcome.comparisons, order):
        if comparison.failing:
            annotation = found.setdefault(comparison.key.test, _Annotation())
            annotation.about.append(texts[1])
            annotation.lines.append(f"{texts[0]}: {sentence(texts)}")
    for test, lines in outcome.explanations.items():
        if test in found:
            found[test].lines += map(printable, lines)
    for test, reason in outcome.failed.items():
        annotation = found.setdefault(test, _Annotation())
        annotation.about.append("failure")
        annotation.lines.append(printable(f"{test} fails on head: {reason}"))
    return found


def _command(command: str, message: str, **properties: str) -> str:
    """Return the line, escaped as the toolkit of GitHub Actions does."""
    told = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{command} {told}::{_escaped(message)}\n"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


class Sources:
    """The files and lines where tests begin; each file is read once.

    Args:
        folder: where in the checkout the paths of the tests begin, as far as that is known.
    """

    def __init__(self, folder: str = "") -> None:
        here = Path.cwd()
        self._workspace = Path(os.environ.get(WORKSPACE) or here).resolve()
        above = here.parents if here.is_relative_to(self._workspace) else ()
        places = [here, *(place for place in above if place.is_relative_to(self._workspace))]
        self._places = [each for place in places for each in dict.fromkeys((place / folder, place))]
        self._lines: dict[Path, dict[str, int]] = {}

    def place(self, file: str, name: str) -> dict[str, str]:
        """Return file and line of ``TestClass::test_name[parameters]``, of the class where the test is inherited.

        The file's path begins at the checkout; one that is not found stays as it is, and has no line.
        """
        path = next((place / file for place in self._places if (place / file).is_file()), None)
        if path is None:
            return {"file": file}
        if path not in self._lines:
            self._lines[path] = _lines_of(path)
        lines, name = self._lines[path], name.partition("[")[0]
        line = lines.get(name, lines.get(name.rpartition("::")[0]))
        found = {"file": os.path.relpath(path, self._workspace)}
        return found if line is None else {**found, "line": str(line)}


def _lines_of(file: Path) -> dict[str, int]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pytest has told whoever ran the tests
            return dict(_definitions(ast.parse(file.read_bytes())))
    except (OSError, SyntaxError, ValueError, RecursionError):  # it is not there, or for another Python
        return {}


def _definitions(scope: ast.AST, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Yield the functions and classes of a module or class, also those below ``if`` and ``try``."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield f"{prefix}{node.name}", node.lineno
        if isinstance(node, ast.ClassDef):
            yield from _definitions(node, f"{prefix}{node.name}::")
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.expr)):
            yield from _definitions(node, prefix)
