"""The mistakes of a user, each one sentence that names the mend."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UsageMistake(ValueError):
    """A wrong argument, option or file; the text is shown to the user as it is, without a traceback."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the valid name nearest to this one, or nothing where none is near."""
    close = get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
