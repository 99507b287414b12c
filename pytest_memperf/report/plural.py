"""Numbers of things in words."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return ``"1 result"`` or ``"2,048 results"``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
