"""Try other gates beside ours: ``python tests/benchmarks/gate/peers.py [REPETITIONS [RUNS OF A/A [CHANGES [GATES]]]]``.

pytest-benchmark, pytest-monitor and asv judge the changes of ``trials.py`` and a commit that changes nothing (half of
the times beside a busy neighbour), in turns with ``memperf ab``. Prints each run, and at the end a table in markdown:
how often each called the test worse that is, or any at all where nothing changed, and the median of its seconds.
``CHANGES`` is a part of the names of those to be tried, such as ``peak``, ``GATES`` of those that try, such as
``asv``. A gate that could not do its work ends all of it: nothing found must not mean nothing done.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from trials import HERE, MODULE, PLANTED, TESTS, alarms, committed, gate, git, neighbour, project

INSTALLED = ("asv", "virtualenv", "pytest-benchmark", "pytest-monitor", "pytest<9")  # pytest-monitor 1.6 fails under 9
LIMIT = 1.1
"""What is worse where a tool leaves it to its user; asv's own default, and what ``median:10%`` says."""
NOTHING = "nothing (runs with a false alarm)"
BENCHMARKS = """
import pytest


@pytest.mark.parametrize("name", STEADY | CHANGING)
def test_work(benchmark, name):
    function, *arguments = (STEADY | CHANGING)[name]
    benchmark(function, *arguments)
"""
SUITE = """

class Work:
    params = list(STEADY | CHANGING)
    param_names = ["work"]

    def setup(self, name):
        self.function, *self.arguments = (STEADY | CHANGING)[name]

    def time_work(self, name):
        self.function(*self.arguments)

    def peakmem_work(self, name):
        self.function(*self.arguments)
"""


@dataclass(frozen=True)
class Place:
    """Where two commits are compared."""

    project: Path
    """The repository; HEAD is compared with the commit before."""
    base: Path
    head: Path
    """Both commits checked out, for tools that run where they are."""
    python: Path
    """The interpreter that has the other tools."""
    asv: Path


Worse = dict[str, set[tuple[str, str]]]
"""By gate: the tests that it calls worse, each with the metric."""


def memperf_ab(place: Place, key: str) -> Worse:
    """Run ``memperf ab``."""
    found, _ = gate(place.project, "HEAD~1", "HEAD", *_selected(key))
    worse = (re.match(r"worse (\w+) of \S+\[(\w+)\]:", each) for each in alarms(found))
    return {"memperf ab": {(match[2], match[1]) for match in worse if match}}


def pytest_benchmark(place: Place, key: str) -> Worse:
    """Save a run of the base, and compare one of the head with it."""
    storage = ["-p", "no:monitor", f"--benchmark-storage=file://{place.asv.parent / 'benchmarks'}"]
    file = str(place.asv.parent / "test_benchmarks.py")
    _pytest(place, place.base, *storage, "--benchmark-autosave", file, *_selected(key))
    compared = ["--benchmark-compare", "--benchmark-compare-fail=median:10%"]
    told = _pytest(place, place.head, *storage, *compared, file, *_selected(key))
    if "Comparing against benchmarks from" not in told:
        sys.exit(told)
    return {"pytest-benchmark": {(name, "median") for name in re.findall(r"test_work\[(\w+)\].* has failed ", told)}}


def pytest_monitor(place: Place, key: str) -> Worse:
    """Run the tests of both sides, and compare what it has kept: it has no gate."""
    sides = []
    for folder in (place.base, place.head):
        kept = folder / "kept.db"
        kept.unlink(missing_ok=True)
        _pytest(place, folder, "-p", "no:benchmark", f"--db={kept}", TESTS, *_selected(key))
        with closing(sqlite3.connect(kept)) as database:
            rows = database.execute(
                "SELECT ITEM_VARIANT, MEM_USAGE, TOTAL_TIME FROM TEST_METRICS WHERE KIND = 'function'"
            )
            sides.append({name[name.index("[") + 1 : -1]: values for name, *values in rows})
    base, head = sides
    columns = ("MEM_USAGE", "TOTAL_TIME")
    return {
        f"pytest-monitor, {column}": {(name, column) for name in base if head[name][i] > LIMIT * base[name][i]}
        for i, column in enumerate(columns)
    }


def asv_continuous(place: Place, key: str) -> Worse:
    """Run ``asv continuous``, in rounds that take turns."""
    command = [
        "-m",
        "asv",
        "continuous",
        "--machine=here",
        "--interleave-rounds",
        "-b",
        rf"\('\w*{key}",
        "HEAD~1",
        "main",
    ]
    told = _run(place, place.asv, {"HOME": str(place.asv)}, *command)  # where it keeps what it knows of the machine
    if "BENCHMARKS NOT SIGNIFICANTLY CHANGED" not in told and "BENCHMARKS HAVE CHANGED SIGNIFICANTLY" not in told:
        sys.exit(told)
    return {"asv continuous": set(_regressed(told))}


def _regressed(told: str) -> Iterator[tuple[str, str]]:
    for metric, name in re.findall(r"^\| [+!] .*\.(\w+)_work\('(\w+)'\)", told, re.MULTILINE):
        yield name, metric


TOOLS: tuple[Callable[[Place, str], Worse], ...] = (memperf_ab, pytest_benchmark, pytest_monitor, asv_continuous)


def _selected(key: str) -> list[str]:
    return ["-k", key] if key else []


def _pytest(place: Place, folder: Path, *arguments: str) -> str:
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}", *arguments]
    return _run(place, folder, {"PYTHONPATH": str(folder)}, *command)


def _run(place: Place, folder: Path, variables: dict[str, str], *arguments: str) -> str:
    """Return what the other tools' interpreter printed; it ends with 1 where something became worse."""
    path = f"{place.python.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [place.python, *arguments],
        cwd=folder, env={**os.environ, "PATH": path, **variables}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        sys.exit(done.stdout + done.stderr)
    return done.stdout + done.stderr


def _tables() -> str:
    """Return the tables of the tests alone: pytest, which the tests import, would weigh on asv's peaks."""
    tree = ast.parse((HERE / "project" / TESTS).read_text())
    tables = [node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).isupper()]
    return "\n".join(["import fifty", *map(ast.unparse, tables), ""])


def install(folder: Path) -> Path:
    """Make an environment with the other tools, and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *INSTALLED]
    if subprocess.run(command).returncode:
        sys.exit("the other tools cannot be installed: make a package index or the network reachable for pip")
    return python


def make(folder: Path, repository: Path) -> Place:
    """Write what the tools need beside the repository."""
    suite = folder / "asv" / "benchmarks"
    suite.mkdir(parents=True)
    (suite / "__init__.py").touch()
    (suite / "work.py").write_text(_tables() + SUITE)
    (folder / "test_benchmarks.py").write_text(_tables() + BENCHMARKS)
    settings = {
        "version": 1,
        "project": "fifty",
        "repo": str(repository),
        "branches": ["main"],
        "environment_type": "virtualenv",
        "pythons": [platform.python_version().rpartition(".")[0]],
        # Its own command builds what the project needs, too, and then does not know which wheel to install.
        "build_command": ["python -m pip wheel --no-deps -w {build_cache_dir} {build_dir}"],
    }
    (suite.parent / "asv.conf.json").write_text(json.dumps(settings))
    place = Place(repository, folder / "base", folder / "head", install(folder / "environment"), suite.parent)
    _run(place, place.asv, {"HOME": str(place.asv)}, "-m", "asv", "machine", "--yes", "--machine=here")
    for side in (place.base, place.head):
        git(folder, "clone", "--quiet", str(repository), str(side))
    return place


def check_out(place: Place) -> None:
    """Bring both sides to their commits."""
    for side, commit in ((place.base, "FETCH_HEAD~1"), (place.head, "FETCH_HEAD")):
        git(side, "fetch", "--quiet", "origin", "main")
        git(side, "checkout", "--quiet", "--detach", commit)


class Score:
    """What each gate was right or wrong about, and how long it took."""

    def __init__(self, gates: str) -> None:
        self.tools = [tool for tool in TOOLS if gates in tool.__name__]
        self.called: dict[str, dict[str, list[bool]]] = {}
        self.seconds: dict[str, dict[str, list[float]]] = {}

    def take(self, row: str, place: Place, key: str, counts: Callable[[set[tuple[str, str]]], bool]) -> None:
        """Run each tool once."""
        for tool in self.tools:
            began = time.monotonic()
            worse = tool(place, key)
            took = time.monotonic() - began
            for name, tests in worse.items():
                self.called.setdefault(row, {}).setdefault(name, []).append(counts(tests))
                self.seconds.setdefault(row, {}).setdefault(name, []).append(took)
                said = ", ".join(" ".join(each) for each in sorted(tests)) or "nothing"
                print(f"{row}: {name}: {took:.0f} s: {said}", flush=True)

    def table(self) -> str:
        """Return a table of all, in markdown."""
        gates = list(dict.fromkeys(name for row in self.called.values() for name in row))
        lines = [f"| changed | {' | '.join(gates)} |", "|---" * (len(gates) + 1) + "|"]
        for row, called in self.called.items():
            cells = [
                f"{sum(called[name])} of {len(called[name])}, {median(self.seconds[row][name]):.0f} s" for name in gates
            ]
            lines.append(f"| {row} | {' | '.join(cells)} |")
        return "\n".join(lines)


def planted(place: Place, score: Score, repetitions: int, part: str) -> None:
    """Have each tool look for the planted changes, in the tests that they concern."""
    for row, (edit, test, _) in PLANTED.items():
        if part not in row:
            continue
        name = test.rstrip("]")
        with committed(place.project, MODULE, edit):
            check_out(place)
            for _ in range(repetitions):
                score.take(row, place, name, partial(_names, name))


def _names(test: str, worse: set[tuple[str, str]]) -> bool:
    return test in {name for name, _ in worse}


def same(place: Place, score: Score, runs: int) -> None:
    """Have each tool compare all tests of a commit that changes nothing."""
    git(place.project, "commit", "--quiet", "--allow-empty", "--message", "nothing")
    check_out(place)
    for number in range(runs):
        with neighbour(number % 2 == 1):
            score.take(NOTHING, place, "", bool)


def versions(python: Path) -> str:
    """Return the versions of the other tools."""
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    names = {re.split(r"\W*<", name)[0].replace("_", "-") for name in (*INSTALLED, "memory_profiler")}
    return ", ".join(
        line.replace("==", " ") for line in listed.split() if line.partition("==")[0].replace("_", "-") in names
    )


def main(repetitions: int, runs: int, part: str = "", gates: str = "") -> None:
    """Print all."""
    with tempfile.TemporaryDirectory(prefix="gate-peers-") as name, project() as repository:
        place = make(Path(name), repository)
        print(time.strftime("%Y-%m-%d"), f"Linux {platform.release()}", f"{os.cpu_count()} processors", sep=", ")
        print(f"Python {platform.python_version()}, {versions(place.python)}")
        print(f"load {os.getloadavg()[0]:.1f} at the beginning", flush=True)
        score = Score(gates)
        try:
            planted(place, score, repetitions, part)
            same(place, score, runs)
        finally:
            print(f"\nload {os.getloadavg()[0]:.1f} at the end\n\n{score.table()}")


if __name__ == "__main__":
    repetitions = int(sys.argv[1]) if sys.argv[1:] else 3
    runs = int(sys.argv[2]) if sys.argv[2:] else repetitions
    main(repetitions, runs, *sys.argv[3:5])
