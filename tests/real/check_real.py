"""Run test suites that nobody here wrote, with the plugin measuring every test and without it, and compare.

``make check-real`` runs all of it; ``python tests/real/check_real.py networkx`` runs one suite. For each suite:

* the outcome of every test, phase by phase, is the same with and without the plugin;
* every test whose function ran is measured;
* its time, in pairs of sessions: the first measures one half of the tests and the second the other half, test by test
  in turns (``halves.py``), so that a machine whose speed changes by more than is looked for changes both alike. Beside
  it the same ratio of two sessions without the plugin.

The exit code is 1 where a suite fails one of the first two, or takes more than its ratio allows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import starmap
from math import sqrt
from pathlib import Path
from typing import Any

from halves import cpu_seconds

WITHOUT = ("-p", "no:memperf")
WITH = ("--memperf-all",)
HIGHEST_RATIO = 1.03
TOGETHER = 200
"""So many tests after each other are compared with each other."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Suite:
    """The tests that a package brings along."""

    name: str

    @property
    def arguments(self) -> tuple[str, ...]:
        """All of them, for pytest."""
        return "--pyargs", self.name


SUITES = (Suite("numpy"), Suite("networkx"))


@dataclass(frozen=True)
class Session:
    """The seconds of CPU of one session: of each test, and of all that is outside of tests."""

    tests: list[float]
    rest: float


@dataclass(frozen=True)
class Batch:
    """The seconds of the same tests in a pair of sessions, half of them marked in each."""

    marked: tuple[float, float]
    unmarked: tuple[float, float]

    @property
    def ratio(self) -> float:
        """How many times as long they took when marked: which half it was, and in which session, cancels out."""
        return sqrt(self.marked[0] * self.marked[1] / (self.unmarked[0] * self.unmarked[1]))


def run(folder: Path, arguments: tuple[str, ...]) -> float:
    """Run pytest in the folder and return the seconds of CPU it took, children included."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONHASHSEED": "0"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # numpy.f2py runs meson
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = "1"
    before = cpu_seconds()
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    command += ["-p", "outcomes", "-p", "halves"]
    log = folder / "log.txt"
    with log.open("w") as output:
        ended = subprocess.run(
            [*command, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    if ended.returncode not in (0, 1):
        raise SystemExit(f"pytest {' '.join(arguments)} ended with {ended.returncode}:\n{log.read_text()[-5000:]}")
    return cpu_seconds() - before


def load(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def compare_outcomes(suite: Suite, folder: Path) -> bool:
    """Run everything once without and once with the plugin; print what differs, and tell whether nothing does."""
    seconds_without = run(folder, (*WITHOUT, *suite.arguments, "--outcomes=without.json"))
    seconds_with = run(folder, (*WITH, *suite.arguments, "--outcomes=with.json", "--memperf-json=results.json"))
    without, measured = load(folder / "without.json"), load(folder / "with.json")
    results = {result["test"] for result in load(folder / "results.json")["results"]}

    different = {test for test in without.keys() | measured.keys() if without.get(test) != measured.get(test)}
    executed = {test for test, phases in measured.items() if phases.get("call", "skipped") != "skipped"}
    unmeasured = executed - results
    counts: dict[str, int] = {}
    for phases in without.values():
        outcome = phases.get("call", phases.get("setup", "none"))
        counts[outcome] = counts.get(outcome, 0) + 1

    print(f"{suite.name}: {len(without)} tests without the plugin: {counts}")
    print(f"{suite.name}: {len(executed)} executed with it, {len(executed & results)} measured")
    print(f"{suite.name}: {len(different)} outcomes differ; {seconds_without:.1f} s without, {seconds_with:.1f} s with")
    for test in sorted(different)[:20]:
        print(f"  differs: {test}: {without.get(test)} without, {measured.get(test)} with")
    for test in sorted(unmeasured)[:20]:
        print(f"  not measured: {test}")
    return not different and not unmeasured


def compare_times(suite: Suite, folder: Path, pairs: int) -> bool:
    """Run pairs of sessions with and without the plugin; print the ratios and tell whether they are allowed."""
    allowed = True
    for _ in range(pairs):
        with_it = [timed(suite, folder, half, ()) for half in (0, 1)]
        without = [timed(suite, folder, half, WITHOUT) for half in (0, 1)]
        measured, ratio, interval = ratio_of(*with_it)
        _, unchanged, around = ratio_of(*without)
        # Each session measured a half, so both together all.
        outside = sum(session.rest for session in with_it) - sum(session.rest for session in without)
        plain = sum(without[0].tests) + without[0].rest
        whole = 1 + (measured * (ratio - 1) + outside) / plain
        print(f"{suite.name}: {len(with_it[0].tests)} tests, {plain:.0f} s of CPU without the plugin")
        print(f"  tests, measured / not: {ratio:.4f} ({interval}); without the plugin: {unchanged:.4f} ({around})")
        print(f"  outside of tests: {outside:+.1f} s with all measured; as a whole: {whole:.4f}", flush=True)
        allowed &= whole <= HIGHEST_RATIO
    return allowed


def timed(suite: Suite, folder: Path, half: int, mode: tuple[str, ...]) -> Session:
    """Run the suite with this half of it marked."""
    seconds = run(folder, (*mode, *suite.arguments, f"--half={half}", "--seconds=seconds.json"))
    tests = load(folder / "seconds.json")
    return Session(tests, seconds - sum(tests))


def ratio_of(first: Session, second: Session) -> tuple[float, float, str]:
    """Return the seconds of all tests when not marked, how many times as long they take marked, and the 95 % interval.

    The interval is that of the mean over the batches, weighted by their times, by bootstrap.
    """
    if len(first.tests) != len(second.tests):
        raise SystemExit(f"{len(first.tests)} tests in one session, {len(second.tests)} in the other")
    batches = list(starmap(batch_of, zip(*map(parts, (first.tests, second.tests)), strict=True)))
    pick = random.Random(0)
    means = sorted(mean_ratio(pick.choices(batches, k=len(batches))) for _ in range(RESAMPLES))
    low, high = means[RESAMPLES // 40], means[-RESAMPLES // 40]
    return sum(sum(batch.unmarked) for batch in batches), mean_ratio(batches), f"{low:.4f} to {high:.4f}"


def parts(seconds: list[float]) -> list[list[float]]:
    """Return the seconds of tests after each other."""
    return [seconds[start : start + TOGETHER] for start in range(0, len(seconds) - 1, TOGETHER)]


def batch_of(first: list[float], second: list[float]) -> Batch:
    """Return the batch of tests of which the even ones were marked in the first session, the odd ones in the second."""
    even, odd = slice(0, None, 2), slice(1, None, 2)
    return Batch((sum(first[even]), sum(second[odd])), (sum(first[odd]), sum(second[even])))


def mean_ratio(batches: list[Batch]) -> float:
    """Return the mean of the ratios, weighted by the time that each batch takes."""
    weights = [sum(batch.unmarked) for batch in batches]
    return sum(weight * batch.ratio for weight, batch in zip(weights, batches, strict=True)) / sum(weights)


def main() -> int:
    """Check the suites that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(suite.name for suite in SUITES))
    parser.add_argument("--pairs", type=int, default=1, help="pairs of sessions whose times are compared; 0 for none")
    parser.add_argument("--times-only", action="store_true", help="leave out the outcomes")
    arguments = parser.parse_args()
    good = True
    for suite in SUITES:
        if arguments.suites and suite.name not in arguments.suites:
            continue
        with tempfile.TemporaryDirectory(prefix=f"check-{suite.name}-") as folder:
            if not arguments.times_only:
                good &= compare_outcomes(suite, Path(folder))
            if arguments.pairs:
                good &= compare_times(suite, Path(folder), arguments.pairs)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
