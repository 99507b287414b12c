"""What a signal is called, and how a process ended."""

from __future__ import annotations

import signal


def name_of_signal(number: int) -> str:
    """Return the name of a signal, or its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def ending(status: int) -> str:
    """Return how a process ended, in words that follow its name; see os.waitstatus_to_exitcode."""
    return f"was killed by {name_of_signal(-status)}" if status < 0 else f"ended with status {status}"
