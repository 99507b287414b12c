"""A comparison in markdown, such as for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TextIO

from pytest_memperf.model.outcome import Outcome
from pytest_memperf.report.comparison.texts import (
    COLUMNS,
    USUAL,
    Order,
    explanations,
    failures,
    headline,
    rows,
    summary,
    together,
)
from pytest_memperf.report.table import printable

MOST = (50, 20, 5, 1)
"""Outcomes, rows of each, and lines of a kind: as many as leave the text short enough."""
LONGEST = 60_000
"""Characters: forges cut comments at 65,536."""
_LIVE = re.compile(r"@|[#!](?=\\?\w)|:(?=//)|GH(?=-\d)|www(?=\.)")
"""What forges make links of in any text, escaped or not: people, whom they tell, issues, and addresses."""
_BREAK = "&#8203;"
"""A blank of no width."""


def write(file: TextIO, outcomes: list[Outcome], order: Order = USUAL) -> None:
    """Write each outcome: the upshot, a table of what changed, then what could not be compared, folded in."""
    for most in MOST:
        text = "".join(f"{line}\n" for line in _lines(outcomes, order, most))
        if len(text) <= LONGEST:
            break
    file.write(text)


def _lines(outcomes: list[Outcome], order: Order, most: int) -> Iterator[str]:
    for outcome in outcomes[:most]:
        yield from _of(outcome, order, most)
    if len(outcomes) > most:
        yield f"... and {len(outcomes) - most:,} more comparisons"


def _of(outcome: Outcome, order: Order, most: int) -> Iterator[str]:
    yield f"### {_escaped(headline(outcome))}"
    yield ""
    yield f"{_escaped(outcome.head)} against {_escaped(outcome.base)}: {summary(outcome)}."
    yield ""
    yield from _listed([_escaped(line) for line in outcome.notes], most)
    yield from _listed([_code(line) for line in failures(outcome)], most)
    found = rows(outcome.comparisons, order)
    if found:
        yield f"| {' | '.join(COLUMNS)} |"
        yield f"|{' --- |' * 2}{' ---: |' * 3}{' --- |' * 2}"
        for comparison, texts in found[:most]:
            cells = [_escaped(text) for text in texts]
            cells[0] = _code(texts[0]).replace("|", "\\|")
            cells[5] = f"**{cells[5]}**" if comparison.failing else cells[5]
            yield f"| {' | '.join(cells)} |"
        if len(found) > most:
            yield f"\n... and {len(found) - most:,} more"
        yield ""
    yield from _listed([_code(line) for line in explanations(outcome)], most)
    lines = [_escaped(line) for line in together(outcome.comparisons, outcome.several)]
    if lines:
        yield f"<details><summary>{len(lines):,} remarks</summary>\n"
        yield from _listed(lines, most)
        yield "</details>\n"


def _listed(lines: Sequence[str], most: int) -> Iterator[str]:
    yield from (f"- {line}" for line in lines[:most])
    if len(lines) > most:
        yield f"- ... and {len(lines) - most:,} more"
    if lines:
        yield ""


def _code(text: str) -> str:
    """Return the text as code, in which nothing is markup or a link."""
    return f"`{text.replace('`', chr(39))}`"


def _escaped(text: str) -> str:
    """Return the text with what markdown would take for markup written out, and with nothing that becomes a link.

    The first character is no command either, which GitLab finds at the start of a line.
    """
    escaped = "".join(f"\\{each}" if each in "\\`*_[]<>|#&~" else each for each in printable(text))
    escaped = _LIVE.sub(lambda found: found[0] + _BREAK, escaped)
    return f"\\{escaped}" if escaped.startswith("/") else escaped
