"""What can go wrong for a user: a mistake, one sentence that names the mend, or a budget that is exceeded."""

from __future__ import annotations

from collections.abc import Callable, Iterable

_LONGEST = 80


class UsageMistake(ValueError):
    """A wrong argument, option or file; the text is shown to the user as it is, without a traceback."""


class WrongCall(UsageMistake, TypeError):
    """A mistake in a call for which Python itself has the name TypeError."""


def nearest(name: str, valid: Iterable[str], spell: Callable[[str], str] = str) -> str:
    """Return ``"; did you mean 'x'?"`` for the valid name nearest to this one, or nothing where none is near.

    Args:
        spell: returns how a valid name is written where the wrong one stood.
    """
    from difflib import get_close_matches  # 1 ms that only a mistake has to pay

    close = get_close_matches(name, list(valid), n=1)
    return f"; did you mean {spell(close[0])!r}?" if close else ""


def shown(value: object) -> str:
    """Return a wrong value in one line, however large it is."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


class MemoryBudgetExceeded(Exception):
    """A budget of a test was exceeded; what ``pytest.mark.xfail(raises=...)`` may name.

    Args:
        details: the lines that a reader is shown, where no result has them.
    """

    def __init__(self, sentence: str = "", details: str = "") -> None:
        super().__init__(sentence)
        self.details = details


class MemoryBudgetWarning(UserWarning):
    """A budget marked ``soft`` was exceeded."""
