"""A look at the machine now and then, for the case that a budget is exceeded: was it the machine's doing?"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from pytest_memperf.metrics.interference import machine_events

PERIOD = 1.0
"""Seconds for which a look is good: it costs 0.1 ms, too much for each window."""


class Watch:
    """The machine's events as they were when somebody last looked."""

    def __init__(self, root: str | os.PathLike[str] = "/proc") -> None:
        self._root = root
        self._taken = float("-inf")
        self._events: Mapping[str, int] = {}

    def look(self) -> Mapping[str, int]:
        """Return the counts as they were at some moment of the last second."""
        now = time.monotonic()
        if now - self._taken >= PERIOD:
            self._taken = now
            self._events = self.now()
        return self._events

    def now(self) -> Mapping[str, int]:
        """Return the counts; nothing where nobody can say."""
        try:
            return machine_events(self._root)
        except OSError:
            return {}


WATCH = Watch()
