"""Aligned columns of text, each cell with the colours that it has on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Cell:
    """A text and its markup, in the words of pytest's TerminalWriter."""

    text: str
    markup: Mapping[str, bool] = field(default_factory=dict)


def align(rows: Sequence[Sequence[Cell]], left: Container[int] = (0,)) -> list[list[Cell]]:
    """Return the rows with their cells padded to the columns' widths, to the left in these columns, else right."""
    widths = [max(len(row[column].text) for row in rows) for column in range(len(rows[0]))] if rows else []
    return [
        [
            Cell(cell.text.ljust(width) if column in left else cell.text.rjust(width), cell.markup)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def text_lines(rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Return aligned rows as lines of plain text."""
    return ["  ".join(cell.text for cell in row).rstrip() for row in rows]


def write_rows(write: Callable[..., object], rows: Sequence[Sequence[Cell]]) -> None:
    """Write aligned rows with their colours; blanks at a line's end are left out.

    Args:
        write: takes a text and its markup, as pytest's TerminalReporter and TerminalWriter do.
    """
    for row in rows:
        last = max((number for number, cell in enumerate(row) if cell.text.strip()), default=-1)
        for number, cell in enumerate(row[: last + 1]):
            body = cell.text.rstrip() if number == last else cell.text
            indent = len(body) - len(body.lstrip())
            write(("  " if number else "") + body[:indent])
            write(body[indent:], **cell.markup)
        write("\n")


def shorten(text: str, width: int) -> str:
    """Return the text, or its end behind an ellipsis where it is wider: the end of a test's id tells it apart."""
    return text if len(text) <= width else ELLIPSIS + text[len(text) - width + 1 :]
