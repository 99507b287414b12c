"""What the plugin itself costs: whole pytest sessions with and without it, interleaved, in one run.

``make bench`` takes 20 rounds of sessions with 20,000 tests; MEMPERF_BENCH=quick takes 5 with 4,000. Each round runs
the sessions of a comparison one after the other, starting with another one each time, and runs the first kind twice:
what those two differ by (A/A) is what this machine cannot tell apart. Times are seconds of CPU of the session and its
children, which a busy neighbour disturbs less than elapsed time. No plugins are loaded but those named. What
isolation costs stands at the end.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import pytest

QUICK = os.environ.get("MEMPERF_BENCH") == "quick"
ROUNDS = 5 if QUICK else 20
TESTS = 4_000 if QUICK else 20_000
TESTS_A_MODULE = 1_000
ENVIRONMENT = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OPENBLAS_NUM_THREADS": "1"}
MEMPERF = ("-p", "memperf")
MARK = '@pytest.mark.memperf(max_peak_rss="1 MiB")\n'
FOREIGN_MARK = MARK.replace("memperf", "foreign")
FOREIGN = ("-o", "markers=foreign")
LEAST = ("-p", "least", *FOREIGN)
LEAST_PLUGIN = """\
import resource

import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    mark, function = item.get_closest_marker("foreign"), item.obj
    def measured(**arguments):
        before = resource.getrusage(resource.RUSAGE_SELF)
        function(**arguments)
        after = resource.getrusage(resource.RUSAGE_SELF)
        item.result = after.ru_minflt - before.ru_minflt
        assert item.result < 1_000 or not mark.kwargs
    item.obj = measured

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        report.result = item.result
    return report

def pytest_runtest_logreport(report):
    report.__dict__.pop("result", None)
"""


@dataclass(frozen=True)
class Session:
    """A pytest session: a name for the table and the arguments."""

    name: str
    folder: Path
    arguments: tuple[str, ...]

    def cpu_time(self) -> float:
        """Run it; return the seconds of CPU of the process and its reaped children. AssertionError where tests fail."""
        environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(self.folder.parent)}
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
    """What one session costs over another for a test: the median over the rounds, and the interval that it lies in."""

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
        return f"{self.median * 1e6:11,.1f} us  [{low * 1e6:,.1f}, {high * 1e6:,.1f}]"


@dataclass(frozen=True)
class Comparison:
    """Seconds of CPU of each session, one for each round."""

    tests: int
    times: dict[str, list[float]]

    def total(self, name: str) -> float:
        """Return the median seconds of a session."""
        return median(self.times[name])

    def difference(self, name: str, base: str) -> Difference:
        """Return what a session costs over another one, for a test."""
        pairs = zip(self.times[name], self.times[base], strict=True)
        return Difference(tuple((more - less) / self.tests for more, less in pairs))


Compare = Callable[..., Comparison]


@pytest.fixture
def compare(benchmark, capsys: pytest.CaptureFixture[str]) -> Compare:
    """Return a function that runs sessions in interleaved rounds and prints what each costs over the first."""

    def compare(*sessions: Session, tests: int, rounds: int = ROUNDS) -> Comparison:
        base = sessions[0]
        in_turn = [*sessions, replace(base, name=f"{base.name} (A/A)")]
        comparison = Comparison(tests, {session.name: [] for session in in_turn})
        for session in sessions:
            session.cpu_time()  # byte code is compiled and files are cached from here on

        def one_round() -> None:
            in_turn.append(in_turn.pop(0))
            for session in in_turn:
                comparison.times[session.name].append(session.cpu_time())

        benchmark.pedantic(one_round, rounds=rounds)
        with capsys.disabled():
            print(f"\n{rounds} rounds; CPU time over '{base.name}' ({comparison.total(base.name):.3f} s)", end="")
            print(f", for each of {tests} tests" if tests > 1 else "")
            for name in list(comparison.times)[1:]:
                difference = comparison.difference(name, base.name)
                benchmark.extra_info[name] = difference.median
                print(f"  {name:32} {difference}")
        return comparison

    return compare


def write_tests(folder: Path, tests: int, mark: str = "", body: str = "pass") -> Path:
    """Write modules with this many tests into the folder."""
    folder.mkdir()
    for start in range(0, tests, TESTS_A_MODULE):
        numbers = range(start, min(start + TESTS_A_MODULE, tests))
        source = "import pytest\n\n" + "\n".join(f"{mark}def test_{number}():\n    {body}\n" for number in numbers)
        (folder / f"test_{start}.py").write_text(source, encoding="utf-8")
    return folder


def write_least_plugin(folder: Path) -> None:
    """Write the least plugin that holds one budget: it knows nothing of windows, units or reports.

    Less than it costs cannot be had.
    """
    (folder / "least.py").write_text(LEAST_PLUGIN, encoding="utf-8")


def test_cost_of_a_test(compare: Compare, tmp_path: Path) -> None:
    """A marked, empty test costs at most 60 us over an unmarked one, which costs at most 10 us for the plugin.

    What pytest itself takes for a mark with an argument stands beside it, and what the least plugin adds to that.
    """
    write_least_plugin(tmp_path)
    unmarked = write_tests(tmp_path / "unmarked", TESTS)
    foreign = write_tests(tmp_path / "foreign", TESTS, FOREIGN_MARK)
    bare = write_tests(tmp_path / "bare", TESTS, "@pytest.mark.memperf\n")
    marked = write_tests(tmp_path / "marked", TESTS, MARK)
    costs = compare(
        Session("unmarked, no plugin", unmarked, ()),
        Session("unmarked, plugin", unmarked, MEMPERF),
        Session("mark of nobody's, plugin", foreign, (*MEMPERF, *FOREIGN)),
        Session("mark of nobody's, least plugin", foreign, LEAST),
        Session("marked without a budget, plugin", bare, MEMPERF),
        Session("marked, plugin", marked, MEMPERF),
        tests=TESTS,
    )
    assert costs.difference("unmarked, plugin", "unmarked, no plugin").median <= 10e-6
    assert costs.difference("marked, plugin", "unmarked, plugin").median <= 60e-6


def instructions(session: Session, log: Path) -> int:
    """Return the instructions of a session as callgrind counts them: the same number whatever else is running."""
    tool = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}")
    subprocess.run(
        [*tool, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *session.arguments],
        cwd=session.folder,
        env={**os.environ, **ENVIRONMENT, "PYTHONPATH": str(session.folder.parent), "PYTHONHASHSEED": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return int(re.findall(r"Collected : ([0-9]+)", log.read_text())[-1])


QUIET_WATCH = """\
import sys

def pytest_collection_finish():
    if watch := sys.modules.get("pytest_memperf.measure.watch"):
        watch.PERIOD = float("inf")  # its look at the machine each second would come 50 times as often
"""


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed: apt install valgrind")
def test_instructions_of_a_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a test costs without the noise of time: what pytest takes for a mark, and what the plugin adds to that.

    The plugin adds at most 2 % to an unmarked test, and at most 12 % of that to a marked one beyond pytest's part.
    """
    few, many = 100, 300
    write_least_plugin(tmp_path)
    (tmp_path / "quiet_watch.py").write_text(QUIET_WATCH, encoding="utf-8")
    kinds = {
        "unmarked, no plugin": ("", ()),
        "unmarked, plugin": ("", MEMPERF),
        "mark of nobody's, plugin": (FOREIGN_MARK, (*MEMPERF, *FOREIGN)),
        "bare mark of nobody's, plugin": ("@pytest.mark.foreign\n", (*MEMPERF, *FOREIGN)),
        "mark of nobody's, least plugin": (FOREIGN_MARK, LEAST),
        "marked, plugin": (MARK, (*MEMPERF, "-p", "quiet_watch")),
        "bare mark, plugin": ("@pytest.mark.memperf\n", (*MEMPERF, "-p", "quiet_watch")),
    }
    per_test: dict[str, float] = {}
    for number, (name, (mark, arguments)) in enumerate(kinds.items()):
        counts = []
        for tests in (few, many):
            folder = write_tests(tmp_path / f"{number}-{tests}", tests, mark)
            session = Session(name, folder, arguments)
            session.cpu_time()  # byte code is compiled
            counts.append(instructions(session, tmp_path / "log"))
        per_test[name] = (counts[1] - counts[0]) / (many - few)
    plain = per_test["unmarked, no plugin"]
    with capsys.disabled():
        print(f"\ninstructions for each test ({many} less {few} tests)")
        for name, count in per_test.items():
            print(f"  {name:32} {count:12,.0f}  {count / plain - 1:+.1%}")
    assert per_test["unmarked, plugin"] <= 1.02 * plain
    assert per_test["marked, plugin"] - per_test["mark of nobody's, plugin"] <= 0.12 * plain


def test_cost_beside_pytest_memray(compare: Compare, tmp_path: Path) -> None:
    """A marked, empty test costs at most 1/100 of what pytest-memray adds to it; beside it, the least plugin."""
    pytest.importorskip("pytest_memray", reason="pytest-memray is not installed: make bench installs it")
    tests = 1_000 if QUICK else 4_000  # at some 10 ms each under pytest-memray
    unmarked = write_tests(tmp_path / "unmarked", tests)
    foreign = write_tests(tmp_path / "foreign", tests, FOREIGN_MARK)
    marked = write_tests(tmp_path / "marked", tests, MARK)
    write_least_plugin(tmp_path)
    costs = compare(
        Session("no plugin", unmarked, ()),
        Session("mark of nobody's, least plugin", foreign, LEAST),
        Session("marked, plugin", marked, MEMPERF),
        Session("pytest-memray", unmarked, ("-p", "memray", "--memray")),
        tests=tests,
        rounds=min(ROUNDS, 6),
    )
    memray = costs.difference("pytest-memray", "no plugin").median
    assert costs.difference("marked, plugin", "no plugin").median <= memray / 100


def test_cost_of_starting(compare: Compare, tmp_path: Path) -> None:
    """The plugin adds at most 15 ms to ``pytest --version --version``, which loads and configures every plugin."""
    command = ("--version", "--version")
    plugin = Session("plugin", tmp_path, (*MEMPERF, *command))
    costs = compare(Session("no plugin", tmp_path, command), plugin, tests=1)
    assert costs.difference("plugin", "no plugin").median <= 15e-3


ONE_NUMPY_TEST = """\
import numpy as np

def test_one():
    assert np.ones(1_000).sum() == 1_000
"""
ISOLATED_TESTS = """\
import os
import re
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.memperf(isolation="process")

@pytest.mark.parametrize("turn", range({count}))
def test_it(turn):
    assert np.ones(1_000).sum() == 1_000

def test_size():
    rollup = Path(f"/proc/{{os.getppid()}}/smaps_rollup").read_text()
    Path("size").write_text(re.search(r"Anonymous: *([0-9]+)", rollup)[1])
"""
ISOLATED = 40


def test_cost_of_isolation(tmp_path: Path) -> None:
    """A process test costs at most 1/10 of ``python -m pytest one_numpy_test.py``, from a template below 32 MiB.

    With the plugins that are installed, as a user would type it; beside it, what it is without any. Elapsed time, as
    the CPU time of templates that end with the session is nobody's.
    """
    for name, source in (
        ("one_numpy_test.py", ONE_NUMPY_TEST),
        ("test_few.py", ISOLATED_TESTS.format(count=1)),
        ("test_many.py", ISOLATED_TESTS.format(count=1 + ISOLATED)),
    ):
        (tmp_path / name).write_text(source, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8")
    ways: dict[str, dict[str, str]] = {"as installed": {}, "no other plugin": {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}}
    ratios: dict[str, list[float]] = {way: [] for way in ways}
    print(f"\n{'plugins':16} {'one session':>12} {'a process test':>15} {'ratio':>6} {'template':>9}")
    for _ in range(3 if QUICK else 10):
        for way, environment in ways.items():
            one, few, many = (
                elapsed(tmp_path, name, environment) for name in ("one_numpy_test.py", "test_few.py", "test_many.py")
            )
            each = (many - few) / ISOLATED
            size = int((tmp_path / "size").read_text()) / 1024
            ratios[way].append(each / one)
            print(f"{way:16} {one:>10.3f} s {each * 1e3:>12.1f} ms {each / one:>6.3f} {size:>5.1f} MiB")
            assert size < 32
    print({way: round(median(found), 3) for way, found in ratios.items()})
    assert median(ratios["as installed"]) <= 0.1


def elapsed(folder: Path, module: str, environment: dict[str, str]) -> float:
    """Run a session; return its seconds on the clock."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "memperf", "-p", "no:cacheprovider", "-W", "ignore", module]
    before = time.perf_counter()
    subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before
