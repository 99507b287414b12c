"""Runs of memperf ab as a process: in the midst of a test, to be interrupted or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from projects import INSTALL, processes

TESTS = (
    "import os, time, pytest, mypkg\n"
    "pytestmark = pytest.mark.memperf\n"
    "def test_same(): mypkg.work(32)\n"
    "def test_work(): mypkg.work()\n"
    "@pytest.mark.skipif('STARTED' not in os.environ, reason='takes long')\n"
    "def test_slow():\n"
    "    open(os.environ['STARTED'], 'w').close()\n"
    "    time.sleep(60)\n"
)
PROGRAM = "import sys; from pytest_memperf.cli import main; sys.exit(main())"


def start(*words: str, **variables: str) -> subprocess.Popen[str]:
    """Start a run in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "ab", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, **variables},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # jobs in the background ignore it
    )  # fmt: skip


def in_the_last_test(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start a run of the slow test too, and wait until it is in the midst of that.

    Args:
        folder: where the test says that it has begun.
    """
    started = folder / "started"
    more = ("main", "main", "--", "-k", "same or slow")
    process = start(f"--install={INSTALL}", "--all", *words, *more, STARTED=str(started))
    until = time.monotonic() + 60
    while not started.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    assert process.poll() is None
    assert len(processes(f"STARTED={folder}")) >= 5
    return process
