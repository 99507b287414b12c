"""What the plugin itself costs: whole pytest sessions with and without it, interleaved, in one run.

``make bench`` takes 20 rounds of sessions with 20,000 tests; MEMPERF_BENCH=quick takes 5 with 4,000. Each round runs
the sessions of a comparison one after the other, starting with another one each time, and runs the first kind twice:
what those two differ by (A/A) is what this machine cannot tell apart. Times are seconds of CPU of the session and its
children, which a busy neighbour disturbs less than elapsed time. No plugins are loaded but those named.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

QUICK = os.environ.get("MEMPERF_BENCH") == "quick"
ROUNDS = 5 if QUICK else 20
TESTS = 4_000 if QUICK else 20_000
TESTS_A_MODULE = 1_000
MEMPERF = ("-p", "memperf")
MARK = '@pytest.mark.memperf(max_peak_rss="1 MiB")\n'


@dataclass(frozen=True)
class Session:
    """A pytest session: a name for the table and the arguments."""

    name: str
    folder: Path
    arguments: tuple[str, ...]

    def cpu_time(self) -> float:
        """Run it; return the seconds of CPU of the process and its reaped children. AssertionError where tests fail."""
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OPENBLAS_NUM_THREADS": "1"}
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *self.arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@dataclass(frozen=True)
class Difference:
    """What one session costs over another, for each of ``per`` tests: the median, and the interval that it lies in."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one, in seconds."""
        return median(self.values)

    @property
    def interval(self) -> tuple[float, float]:
        """The order statistics between which the true median lies with 95 % (6th and 15th of 20)."""
        ordered = sorted(self.values)
        outside = max(0, int(len(ordered) / 2 - 0.98 * len(ordered) ** 0.5))
        return ordered[outside], ordered[-1 - outside]

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.median * 1e6:9,.1f} us  [{low * 1e6:,.1f}, {high * 1e6:,.1f}]"


Compare = Callable[..., dict[str, Difference]]


@pytest.fixture
def compare(benchmark, capsys: pytest.CaptureFixture[str]) -> Compare:
    """Run sessions in interleaved rounds; return what each costs over the first, for a test, and print the table."""

    def compare(sessions: Sequence[Session], tests: int, rounds: int = ROUNDS) -> dict[str, Difference]:
        again = Session(f"{sessions[0].name} (A/A)", sessions[0].folder, sessions[0].arguments)
        in_turn = [*sessions, again]
        times: dict[str, list[float]] = {session.name: [] for session in in_turn}
        for session in sessions:
            session.cpu_time()  # byte code is compiled and files are cached from here on

        def one_round() -> None:
            in_turn.append(in_turn.pop(0))
            for session in in_turn:
                times[session.name].append(session.cpu_time())

        benchmark.pedantic(one_round, rounds=rounds)
        base = times[sessions[0].name]
        differences = {
            name: Difference(tuple((other - first) / tests for other, first in zip(values, base, strict=True)))
            for name, values in times.items()
            if name != sessions[0].name
        }
        with capsys.disabled():
            print(f"\n{rounds} rounds, {tests} tests each; CPU time for a test over: {sessions[0].name}")
            print(f"  {sessions[0].name:44} {median(base) / tests * 1e6:9,.1f} us in all")
            for name, difference in differences.items():
                print(f"  {name:44} {difference}")
        benchmark.extra_info.update({name: difference.median for name, difference in differences.items()})
        return differences

    return compare


def write_tests(folder: Path, tests: int, mark: str = "", body: str = "pass") -> Path:
    """Write modules with this many tests into the folder."""
    folder.mkdir()
    for start in range(0, tests, TESTS_A_MODULE):
        numbers = range(start, min(start + TESTS_A_MODULE, tests))
        source = "import pytest\n\n" + "\n".join(f"{mark}def test_{number}():\n    {body}\n" for number in numbers)
        (folder / f"test_{start}.py").write_text(source, encoding="utf-8")
    return folder


def test_cost_of_a_test(compare: Compare, tmp_path: Path) -> None:
    """A marked, empty test costs at most 60 us over an unmarked one, which costs at most 10 us for the plugin."""
    unmarked = write_tests(tmp_path / "unmarked", TESTS)
    marked = write_tests(tmp_path / "marked", TESTS, MARK)
    costs = compare(
        [
            Session("unmarked, no plugin", unmarked, ()),
            Session("unmarked, plugin", unmarked, MEMPERF),
            Session("marked, plugin", marked, MEMPERF),
        ],
        TESTS,
    )
    assert costs["unmarked, plugin"].median <= 10e-6
    assert costs["marked, plugin"].median - costs["unmarked, plugin"].median <= 60e-6


def test_cost_beside_pytest_memray(compare: Compare, tmp_path: Path) -> None:
    """A marked, empty test costs at most 1/100 of what pytest-memray adds to it."""
    pytest.importorskip("pytest_memray", reason="pytest-memray is not installed: make bench installs it")
    tests = 200 if QUICK else 1_000
    unmarked = write_tests(tmp_path / "unmarked", tests)
    marked = write_tests(tmp_path / "marked", tests, MARK)
    costs = compare(
        [
            Session("unmarked, no plugin", unmarked, ()),
            Session("marked, plugin", marked, MEMPERF),
            Session("pytest-memray", unmarked, ("-p", "memray", "--memray")),
        ],
        tests,
        rounds=3 if QUICK else ROUNDS,
    )
    assert costs["marked, plugin"].median <= costs["pytest-memray"].median / 100


def test_cost_of_starting(compare: Compare, tmp_path: Path) -> None:
    """The plugin adds at most 15 ms to ``pytest --version --version``, which loads and configures every plugin."""
    command = ("--version", "--version")
    costs = compare([Session("no plugin", tmp_path, command), Session("plugin", tmp_path, (*MEMPERF, *command))], 1)
    assert costs["plugin"].median <= 15e-3
