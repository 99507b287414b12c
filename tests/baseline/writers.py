"""Processes that save runs until they are done or killed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

WRITERS = 4
"""At once."""
WRITER = """
import os, sys
from pathlib import Path
from pytest_memperf.baseline.storage import store_at
from pytest_memperf.model.result import Result
from pytest_memperf.model.run import Commit, Run

address, label, runs, results = sys.argv[1:]
store = store_at(address, Path(), "Linux-any")
for turn in range(int(runs)):
    rows = store.save(Run("2026-11-22T04:29:47+00:00", Commit("a" * 40), name=f"{label}-{turn}"))
    for number in range(int(results)):
        # Half of the tests are new in every run.
        rows.add(Result(f"test_it[{number if number % 2 else f'{label}-{turn}-{number}'}]", "call").as_json())
    rows.finish({"environment": {}})
    os.write(1, f"{label}-{turn}\\n".encode())
"""
Start = Callable[[str, int, Path], "subprocess.Popen[bytes]"]


def start_writer(address: str, results: int, label: str, runs: int, output: Path) -> subprocess.Popen[bytes]:
    """Start a process that saves so many runs of so many results, and notes in the output each that is finished."""
    command = [sys.executable, "-c", WRITER, address, label, str(runs), str(results)]
    with output.open("ab") as opened:
        return subprocess.Popen(command, stdout=opened, stdin=subprocess.DEVNULL)


def kill_writers(
    kills: int, chance: random.Random, longest: float, start: Start, folder: Path, after: Callable[[], None]
) -> set[str]:
    """Kill one of some writers at random moments, so many times, and start another; return what they noted as finished.

    Args:
        longest: seconds from the end of a run to the kill, at most.
        start: starts a writer of a label and a number of runs, which notes them in a file.
        after: is called after each kill.
    """
    outputs = [folder / f"output{number}" for number in range(WRITERS)]
    writers = [start(f"w{number}-0", 10**6, output) for number, output in enumerate(outputs)]
    try:
        for killed in range(1, kills + 1):
            number = chance.randrange(WRITERS)
            before = outputs[number].stat().st_size
            while outputs[number].stat().st_size == before:  # it is saving, and no longer starting
                assert writers[number].poll() is None
                time.sleep(0.001)
            time.sleep(chance.uniform(0, longest))
            writers[number].kill()
            assert writers[number].wait() == -signal.SIGKILL
            after()
            writers[number] = start(f"w{number}-{killed}", 10**6, outputs[number])
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    return {line for output in outputs for line in output.read_text().splitlines()}
