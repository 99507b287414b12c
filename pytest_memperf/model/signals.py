"""What a signal is called."""

from __future__ import annotations

import signal


def name_of_signal(number: int) -> str:
    """Return the name of a signal, or its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
