"""Runs of a command, beside what GNU time says of the same command."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_memperf.malloc import MALLOCS, Malloc, preload, running
from pytest_memperf.malloc.running import CommandFailed, Usage, in_turns, run

GLIBC = MALLOCS["glibc"]
TOUCH = [
    sys.executable,
    "-c",
    "import mmap; m = mmap.mmap(-1, 64 << 20); m.madvise(mmap.MADV_NOHUGEPAGE); m.write(bytes(64 << 20))",
]


def test_figures_are_those_of_gnu_time() -> None:
    """Faults within 5 % (128 MiB are touched), the peak within 2 MiB."""
    gnu_time = shutil.which("time")
    if gnu_time is None:
        pytest.skip("GNU time is not installed: apt-get install time")
    told = subprocess.run([gnu_time, "-f", "%R %M", *TOUCH], capture_output=True, text=True, check=True).stderr
    faults, peak = map(int, told.split())
    usage = run(TOUCH, GLIBC)
    assert usage.minor_faults == pytest.approx(faults, rel=0.05)
    assert usage.peak_rss == pytest.approx(peak * 1024, abs=2 << 20)
    assert usage.least < 16 << 20 < 64 << 20 < usage.peak_rss
    assert 0 < usage.cpu_time < usage.wall_time * 2


def test_what_it_writes_is_dropped_and_what_it_reads_is_empty(capfd: pytest.CaptureFixture[str]) -> None:
    """Else each run would differ, and a table drown."""
    code = "import sys; assert sys.stdin.read() == ''; print('out'); print('err', file=sys.stderr)"
    run([sys.executable, "-c", code], GLIBC)
    assert capfd.readouterr() == ("", "")


def test_it_has_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for LD_PRELOAD."""
    monkeypatch.setenv("MINE", "1")
    monkeypatch.setenv("LD_PRELOAD", "/nowhere/libjemalloc.so.2")
    run([sys.executable, "-c", "import os; assert os.environ['MINE'] == '1' and 'LD_PRELOAD' not in os.environ"], GLIBC)


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import sys; print('why'); sys.exit(3)", "ended with status 3"),
        ("import os, sys; print('why'); sys.stdout.flush(); os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        ("import os, sys; print('why'); sys.stdout.flush(); os.kill(os.getpid(), 40)", "was killed by signal 40"),
    ],
)
def test_a_run_that_fails(code: str, how: str) -> None:
    """Is told with its end and its library."""
    with pytest.raises(CommandFailed) as failed:
        in_turns([sys.executable, "-c", code], [GLIBC], 1)
    assert failed.value.how == f"{how} under glibc"
    assert failed.value.said == "why\n"


def test_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """One run of each that is not counted, and then each library as often, another one first each time."""
    there = [each for each in MALLOCS.values() if preload.lack(each) is None]
    order: list[str] = []

    def noted(command: Sequence[str], malloc: Malloc) -> Usage:
        order.append(malloc.name)
        return run(command, malloc)

    monkeypatch.setattr(running, "run", noted)
    usages = in_turns(["true"], there, 2)
    assert {name: len(runs) for name, runs in usages.items()} == {each.name: 2 for each in there}
    names = [each.name for each in there]
    turns = [order[start : start + len(names)] for start in range(0, len(order), len(names))]
    assert turns == [names[number % len(names) :] + names[: number % len(names)] for number in range(3)]


def test_nothing_is_left_of_a_run_that_is_killed(tmp_path: Path) -> None:
    """The command ends with the process that asked for it, however that ends."""
    mark = tmp_path / "pid"
    new = f"{mark}.new"
    command = f"""
import os, time
open({new!r}, "w").write(str(os.getpid()))
os.rename({new!r}, {str(mark)!r})
time.sleep(600)
"""
    code = f"""
from pytest_memperf.malloc import named, running
running.run({[sys.executable, "-c", command]!r}, named("glibc"))
"""
    asking = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    pid = int(mark.read_text())
    asking.kill()
    asking.wait()
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not runs(pid)


def runs(pid: int) -> bool:
    """Tell whether a process runs; it may have ended with nobody to bury it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
