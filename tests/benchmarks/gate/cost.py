"""What the gate costs: ``python tests/benchmarks/gate/cost.py [ROUNDS]``.

Fifty tests of some 100 ms that nothing changed, alone and under ``memperf ab HEAD HEAD`` in turns, environments built;
then single pairs of samples, what each sample takes beyond the window of its test, and what the kernel takes for one
child of as much memory: that much is left, whatever a child does.
"""

from __future__ import annotations

import subprocess
import sys
import time
import timeit
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from trials import git

from pytest_memperf.baseline.ab import pair
from pytest_memperf.baseline.ab.environments import INSTALL
from pytest_memperf.baseline.ab.interpreter import OWN
from pytest_memperf.baseline.ab.repository import Repository
from pytest_memperf.baseline.ab.sampling import Sampling
from pytest_memperf.baseline.ab.side import Side
from pytest_memperf.baseline.ab.tools import link_tools
from pytest_memperf.baseline.ab.workplace import workplace

MODULE = '''"""Work of a tenth of a second."""


def work(rounds):
    """Touch memory, and calculate."""
    total = 0
    for number in range(rounds):
        total += sum(range(1_000)) + len(bytes(number % 10 * 1_000))
    return total
'''
TESTS = """import hundred
import pytest


@pytest.mark.memperf
@pytest.mark.parametrize("number", range(50))
def test_work(number):
    assert hundred.work({rounds} + number)
"""
PROJECT = '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n\n' + (
    '[project]\nname = "hundred"\nversion = "1"\n\n[tool.setuptools]\npy-modules = ["hundred"]\n'
)

FORKS = """import mmap, os, statistics, time

memory = mmap.mmap(-1, {size}, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for place in range(0, {size}, mmap.PAGESIZE):
    memory[place] = 1
taken = []
for _ in range(20):
    began = time.perf_counter()
    if not (child := os.fork()):
        memory.madvise(23)  # MADV_POPULATE_WRITE
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("the child failed: MADV_POPULATE_WRITE takes Linux 5.14")
    taken.append(time.perf_counter() - began)
print(statistics.median(taken) * 1000)
"""
TEMPLATE = 25_000_000
"""Bytes that a template has of its own: some 21 million are pytest's, before any plugin."""


def make(folder: Path) -> None:
    """Write the project into the folder, its work as long as this machine makes it, and commit it."""
    scope: dict[str, object] = {}
    exec(MODULE, scope)
    # The fastest of several, so that a test takes a tenth of a second where nothing disturbs it.
    rounds = int(5_000 * 0.1 / min(timeit.repeat("work(5_000)", globals=scope, number=1, repeat=9)))
    for name, text in {
        "hundred.py": MODULE, "tests/test_hundred.py": TESTS.format(rounds=rounds), "pyproject.toml": PROJECT
    }.items():  # fmt: skip
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "before")


def timed(command: list[str], folder: Path) -> float:
    """Run a command to its end, which has to be a good one, and return its seconds."""
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.monotonic() - began


def whole_runs(folder: Path, rounds: int) -> None:
    """Print the seconds of both kinds of run."""
    memperf = str(Path(sys.executable).with_name("memperf"))
    plain = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:memperf", "-W", "ignore"]
    gate = [memperf, "ab", "HEAD", "HEAD"]
    timed([*gate, "--", "-k", "test_work[1]"], folder)  # builds
    pairs = []
    for number in range(rounds):
        pairs.append((timed(plain, folder), timed(gate, folder)))
        alone, both = pairs[-1]
        print(f"round {number + 1}: alone {alone:.1f} s, gate {both:.1f} s, {both / alone:.1f} x", flush=True)
    print(f"gate over plain run: {median(both / alone for alone, both in pairs):.1f} x (median of {rounds})")


def samples(folder: Path) -> None:
    """Print what a sample takes beyond the window."""
    repository = Repository(folder)
    state = repository.state("HEAD")
    with workplace() as place:
        tools = place / "tools"
        sides = pair.of_commits(repository, (state, state), "", INSTALL, OWN, place, lambda line: None)
        link_tools(tools)
        beyond = _beyond(*(Side(*of, tools, []) for of in zip(pair.NAMES, sides.pythons, sides.tests, strict=True)))
    print(f"a sample of the first pair in a layout, which starts templates: {beyond[0]:.0f} ms beyond its test")
    low, middle, high = quantiles(beyond[1:], n=4)
    print(f"another sample: {middle:.1f} ms beyond its test (quartiles {low:.1f} to {high:.1f})")


def forks() -> None:
    """Print what the kernel takes to fork, to give the child all pages as its own, and to end it."""
    script = FORKS.format(size=TEMPLATE)
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    print(f"of that the kernel alone, for a child of {TEMPLATE:,} bytes: {float(done.stdout):.1f} ms")


def _beyond(base: Side, head: Side) -> list[float]:
    """Return the milliseconds beyond the windows, by sample, of a pair of each test."""
    beyond = []
    try:
        base.collect()
        head.collect()
        for test in head.tests:
            sampling = Sampling(base, head, test, max_retakes=0)
            began = time.perf_counter()
            sampling.go_on(1)
            whole = time.perf_counter() - began
            windows = [result for samples in sampling.samples for result in samples[0].results]
            inside = sum(float(result.metrics["wall_time"].value) for result in windows)
            beyond.append((whole - inside) / len(windows) * 1000)
    finally:
        base.close()
        head.close()
    return beyond


if __name__ == "__main__":
    with TemporaryDirectory(prefix="gate-cost-") as name:
        make(Path(name))
        whole_runs(Path(name), int(sys.argv[1]) if sys.argv[1:] else 3)
        samples(Path(name))
        forks()
