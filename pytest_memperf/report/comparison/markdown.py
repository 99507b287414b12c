"""A comparison in markdown, such as for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from pytest_memperf.model.outcome import Outcome
from pytest_memperf.report.comparison.texts import (
    COLUMNS,
    USUAL,
    Order,
    explanations,
    headline,
    rows,
    summary,
    together,
)
from pytest_memperf.report.table import printable

LONGEST = 50
"""Rows, and lines of a kind: forges cut comments at 65,536 characters."""


def write(file: TextIO, outcomes: list[Outcome], order: Order = USUAL) -> None:
    """Write each outcome: the upshot, a table of what changed, then what could not be compared, folded in."""
    for outcome in outcomes:
        file.writelines(f"{line}\n" for line in _lines(outcome, order))


def _lines(outcome: Outcome, order: Order) -> Iterator[str]:
    yield f"### {headline(outcome)}"
    yield ""
    yield f"{_escaped(outcome.head)} against {_escaped(outcome.base)}: {summary(outcome)}."
    yield ""
    found = rows(outcome.comparisons, order)
    if found:
        yield f"| {' | '.join(COLUMNS)} |"
        yield f"|{' --- |' * 2}{' ---: |' * 3}{' --- |' * 2}"
        for comparison, texts in found[:LONGEST]:
            cells = [_escaped(text) for text in texts]
            cells[0] = f"`{texts[0].replace('`', chr(39)).replace('|', chr(92) + '|')}`"
            cells[5] = f"**{cells[5]}**" if comparison.failing else cells[5]
            yield f"| {' | '.join(cells)} |"
        if len(found) > LONGEST:
            yield f"\n... and {len(found) - LONGEST:,} more"
        yield ""
    told = list(explanations(outcome))
    if told:
        yield from (f"- {_escaped(line)}" for line in told[:LONGEST])
        yield ""
    lines = list(together(outcome.comparisons))
    if lines:
        yield f"<details><summary>{len(lines):,} remarks</summary>\n"
        yield from (f"- {_escaped(line)}" for line in lines[:LONGEST])
        if len(lines) > LONGEST:
            yield f"- ... and {len(lines) - LONGEST:,} more"
        yield "\n</details>\n"


def _escaped(text: str) -> str:
    """Return the text with what markdown would take for markup written out."""
    return "".join(f"\\{character}" if character in "\\`*_[]<>|#&~" else character for character in printable(text))
