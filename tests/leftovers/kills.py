"""Kill sessions that hold every fixture, by kill -9 at random moments: ``make kills``, or with how many, and a seed.

After each, one ordinary session; then nothing may be left that was not there before the first. Every second session
runs its tests in forks.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from functools import partial
from pathlib import Path

from snapshot import MARK, State, differences, snapshot

KILLS = 200
LATEST = 1.5
"""Seconds after its first test has begun at which a session is killed at last."""
HOLDING = """
import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.memperf(isolation={isolation!r}), pytest.mark.filterwarnings("ignore")]

@pytest.mark.parametrize("turn", range(400))
def test_all_at_once(turn, mapped_file, hugepage_region, numa_buffer, cpu_pinning):
    Path("ready").touch()
    cpu_pinning(min(os.sched_getaffinity(0)))
    files = mapped_file("1 MiB", cache="cold", where=os.getcwd()), mapped_file("1 MiB", where="/dev/shm")
    regions = [hugepage_region("6 MiB", reserve=True, fallback=True), hugepage_region("4 MiB", "thp")]
    buffer = numa_buffer("1 MiB", "bind", [0])
    if turn % 10 == 1:  # where the machine has one in one piece
        try:
            regions.append(hugepage_region("1 GiB", page_size="1 GiB", reserve=True, populate=False))
        except pytest.skip.Exception:
            pass
"""
NEXT = "def test_next(mapped_file, hugepage_region): mapped_file('64 KiB'); hugepage_region('64 KiB', 'none')"


def session(folder: Path, test: str, mark: str) -> subprocess.Popen[bytes]:
    """Start a session with this test."""
    folder.mkdir()
    (folder / "test_it.py").write_text(test)
    environment = {**os.environ, MARK: mark, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TMPDIR": str(folder.parent)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "memperf", "-p", "no:cacheprovider", "-c", os.devnull]
    with open(folder / "output", "wb") as output:
        return subprocess.Popen(
            [*command, "--rootdir", folder, "test_it.py"], cwd=folder, env=environment, stdout=output, stderr=output
        )


def kill_one(folder: Path, mark: str, chance: random.Random, isolation: str) -> None:
    """Start a session and kill it while its tests run."""
    process = session(folder, HOLDING.format(isolation=isolation), mark)
    while not (folder / "ready").exists():
        if process.poll() is not None:
            sys.exit(f"a session ended by itself:\n{(folder / 'output').read_text()}")
        time.sleep(0.01)
    time.sleep(chance.uniform(0, LATEST))
    process.send_signal(signal.SIGKILL)
    process.wait()


def main(kills: int, seed: int) -> int:
    """Kill so many; return 1 where something is left after one."""
    chance = random.Random(seed)
    mark = uuid.uuid4().hex
    left_by_kill = 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="memperf-kills-") as name:
        os.environ["TMPDIR"] = tempfile.tempdir = name
        look = partial(snapshot, mark, [Path(name)])
        before: State = look()
        for number in range(kills):
            kill_one(Path(name, f"killed-{number}"), mark, chance, ("inline", "process")[number % 2])
            left_by_kill += look() != before
            after = session(Path(name, f"next-{number}"), NEXT, mark)
            if after.wait() != 0:
                sys.exit(Path(name, f"next-{number}", "output").read_text())
            left = differences(before, look)
            if left:
                print(f"left after kill {number + 1} of seed {seed}, and the next session:", *left, sep="\n  ")
                return 1
    seconds = time.monotonic() - began
    print(
        f"{kills} sessions killed (seed {seed}), {left_by_kill} of them left something, and none after the next session"
    )
    print(f"{len(before)} places looked at; {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    sys.exit(main(count, int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)))
