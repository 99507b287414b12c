"""A comparison as workflow commands of GitHub Actions: each regression is an annotation on its test's line."""

from __future__ import annotations

import ast
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from pytest_memperf.model.comparison import Comparison
from pytest_memperf.model.outcome import Outcome
from pytest_memperf.report.comparison import markdown
from pytest_memperf.report.comparison.texts import USUAL, Order, headline, rows, sentence, summary
from pytest_memperf.report.json_file import cannot_write
from pytest_memperf.report.table import printable

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file to which a step adds what the page of the run shows."""


def write(file: TextIO, outcomes: list[Outcome], order: Order = USUAL) -> None:
    """Write the commands, and add the comparison in markdown to the summary of the step where there is one.

    UsageMistake where that cannot be written.
    """
    lines = Lines()
    for outcome in outcomes:
        for comparison, texts in rows(outcome.comparisons, order):
            if comparison.failing:
                file.write(_annotation(lines, comparison, texts))
        level = "notice" if outcome.judged and not outcome.failing and not outcome.undecided else "warning"
        upshot = f"{headline(outcome)}: {outcome.head} against {outcome.base}: {summary(outcome)}"
        file.write(_command(level, upshot, title="memperf"))
    path = os.environ.get(SUMMARY)
    if path:
        try:
            with open(path, "a", encoding="utf-8", errors="backslashreplace") as opened:
                markdown.write(opened, outcomes, order)
        except OSError as error:
            raise cannot_write(path, error) from None


def _annotation(lines: Lines, comparison: Comparison, texts: tuple[str, ...]) -> str:
    test = comparison.key.test
    file, _, name = test.partition("::")
    line = lines.of(file, name)
    place = {"file": file} if line is None else {"file": file, "line": str(line)}
    called, metric, *_ = texts
    return _command("error", f"{called}: {sentence(texts)}", **place, title=printable(f"{metric} of {name or file}"))


def _command(command: str, message: str, **properties: str) -> str:
    """Return the line, escaped as the toolkit of GitHub Actions does."""
    told = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{command} {told}::{_escaped(message)}\n"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


class Lines:
    """The lines on which tests begin; each file is read once."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, int]] = {}

    def of(self, file: str, name: str) -> int | None:
        """Return the line of ``TestClass::test_name[parameters]``, of the class where the test is inherited."""
        if file not in self._found:
            self._found[file] = _lines_of(Path(file))
        lines, name = self._found[file], name.partition("[")[0]
        return lines.get(name, lines.get(name.rpartition("::")[0]))


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
