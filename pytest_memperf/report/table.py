"""Aligned columns of text, each cell with the colours that it has on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from _pytest._io.wcwidth import wcswidth

ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Cell:
    """A text and its markup, in the words of pytest's TerminalWriter."""

    text: str
    markup: Mapping[str, bool] = field(default_factory=dict)


def align(rows: Sequence[Sequence[Cell]], left: Container[int] = (0,)) -> list[list[Cell]]:
    """Return the rows with their cells padded to the columns' widths, to the left in these columns, else right."""
    widths = column_widths(rows)
    return [
        [
            Cell(_pad(cell.text, width, column in left), cell.markup)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def column_widths(rows: Sequence[Sequence[Cell]]) -> list[int]:
    """Return the width of each column."""
    return [max(map(width_of, (cell.text for cell in column))) for column in zip(*rows, strict=True)]


def _pad(text: str, width: int, left: bool) -> str:
    blanks = " " * (width - width_of(text))
    return text + blanks if left else blanks + text


def width_of(text: str) -> int:
    """Return how many columns of a terminal a printable text takes."""
    return len(text) if text.isascii() else wcswidth(text)


def printable(text: str) -> str:
    """Return the text with line breaks, escape sequences and their like written out."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


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
    if width_of(text) <= width:
        return text
    start = len(text) - width + 1
    while width_of(text[start:]) >= width:
        start += 1
    return ELLIPSIS + text[start:]
