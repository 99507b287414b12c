"""A line on the terminal while a test goes through many rounds, drawn between them and gone afterwards."""

from __future__ import annotations

import contextlib
import os
import sys
import time

import pytest

from pytest_memperf.measure.conditions import CONDITIONS

QUIET = 2.0
"""Seconds of a test before the line appears."""
INTERVAL = 0.5
"""Seconds between two drawings."""
_SAVE, _RESTORE, _ERASE = "\x1b7", "\x1b8", "\x1b[K"


class ProgressLine:
    """Draws to the right of what pytest has written in the line so far, and leaves the cursor where it was."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._started = self._drawn = time.monotonic()
        self._visible = False
        CONDITIONS.progress = self.show

    def pytest_runtest_logstart(self) -> None:
        """Begin to count a test's seconds."""
        self._started = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self) -> None:
        """Leave the line clean for pytest's own letter, also where the rounds broke off."""
        if self._visible:
            self._write("")
            self._visible = False

    def pytest_unconfigure(self) -> None:
        """Stop drawing."""
        CONDITIONS.progress = None

    def show(self, window: str, done: int, rounds: int) -> None:
        """Say how many rounds are done, where the test takes long."""
        now = time.monotonic()
        if done < rounds and now - self._started >= QUIET and now - self._drawn >= INTERVAL:
            self._drawn, self._visible = now, True
            self._write(f" {window}: {done:,} of {rounds:,} rounds, {now - self._started:.0f} s")

    def _write(self, text: str) -> None:
        capture = self._config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            writer = self._config.get_terminal_writer()
            room = max(0, writer.fullwidth - writer.width_of_current_line)  # its own output is a file while capturing
            sys.stdout.write(f"{_SAVE}{_ERASE}{text[:room]}{_RESTORE}")
            sys.stdout.flush()


def register_progress(config: pytest.Config) -> None:
    """Draw the line where there is a terminal that it can be drawn on."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or not reporter.isatty or config.get_verbosity() < 0 or os.environ.get("TERM") == "dumb":
        return
    config.pluginmanager.register(ProgressLine(config), "memperf-progress")
