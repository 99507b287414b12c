"""Run test suites that nobody here wrote, with the plugin measuring every test and without it, and compare.

``make check-real`` runs all of it; ``python tests/real/check_real.py networkx`` runs one suite. For each suite:

* the outcome of every test, phase by phase, is the same with and without the plugin;
* every test whose function ran is measured;
* its time, in pairs of sessions: the first measures one half of the tests and the second the other half, test by test
  in turns (``halves.py``), so that a machine whose speed changes by more than is looked for changes both alike. Beside
  it the same figure of two sessions without the plugin. What a measured test takes longer is found from those that are
  short: seconds of a long one differ by more than that from run to run, and a window costs the same however long it is.

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
from math import sqrt
from pathlib import Path
from typing import Any

from halves import cpu_seconds

WITHOUT = ("-p", "no:memperf")
WITH = ("--memperf-all",)
HIGHEST_RATIO = 1.03
SHORT = 0.02
"""Seconds of a short test."""
TOGETHER = 200
"""So many short tests after each other are compared with each other."""
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
    """The seconds of the same tests in a pair of sessions, half of them measured in each."""

    measured: tuple[float, float]
    others: tuple[float, float]
    tests: int

    @property
    def added(self) -> float:
        """How many seconds each test takes longer: which half it was, and in which session, cancels out."""
        ratio = sqrt(self.measured[0] * self.measured[1] / (self.others[0] * self.others[1]))
        return (ratio - 1) * sum(self.others) / self.tests


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
    """Run pairs of sessions with and without the plugin; print what it adds and tell whether that is allowed."""
    allowed = True
    for _ in range(pairs):
        sessions = {mode: [timed(suite, folder, half, mode) for half in (0, 1)] for mode in (WITH, WITHOUT)}
        added, interval = added_to_short_ones(*sessions[WITH])
        nothing, around = added_to_short_ones(*sessions[WITHOUT])
        plain = sessions[WITHOUT][0]
        tests, whole = len(plain.tests), sum(plain.tests) + plain.rest
        outside = min(session.rest for session in sessions[WITH]) - min(session.rest for session in sessions[WITHOUT])
        ratio = 1 + (tests * added + outside) / whole
        print(f"{suite.name}: {tests} tests, {whole:.0f} s of CPU without the plugin")
        print(f"  a measured test takes {added * 1e6:.0f} µs longer ({interval})")
        print(f"  and of the same two sessions without the plugin {nothing * 1e6:.0f} µs ({around})")
        print(f"  outside of tests: {outside:+.1f} s; all measured takes {ratio:.4f} times as long", flush=True)
        allowed &= ratio <= HIGHEST_RATIO
    return allowed


def timed(suite: Suite, folder: Path, half: int, mode: tuple[str, ...]) -> Session:
    """Run the suite with this half of it measured, where anything is."""
    seconds = run(folder, (*mode, *suite.arguments, f"--half={half}", "--seconds=seconds.json"))
    tests = load(folder / "seconds.json")
    return Session(tests, seconds - sum(tests))


def added_to_short_ones(first: Session, second: Session) -> tuple[float, str]:
    """Return how many seconds a measured test takes longer, and the 95 % interval in microseconds, by bootstrap."""
    if len(first.tests) != len(second.tests):
        raise SystemExit(f"{len(first.tests)} tests in one session, {len(second.tests)} in the other")
    pairs = [list(pair) for pair in zip(first.tests, second.tests, strict=True)]
    # In twos, so that every test beside a long one goes with it, and the others keep their turns.
    twos = [two for two in zip(pairs[::2], pairs[1::2], strict=False) if max(map(max, two)) < SHORT]
    batches = [batch_of(twos[start : start + TOGETHER // 2]) for start in range(0, len(twos), TOGETHER // 2)]
    pick = random.Random(0)
    means = sorted(mean_added(pick.choices(batches, k=len(batches))) for _ in range(RESAMPLES))
    low, high = means[RESAMPLES // 40], means[-RESAMPLES // 40]
    return mean_added(batches), f"{low * 1e6:.0f} to {high * 1e6:.0f}"


def batch_of(twos: list[tuple[list[float], list[float]]]) -> Batch:
    """Return the batch of twos: their even tests were measured in the first session, the odd ones in the second."""
    (even_measured, even), (odd, odd_measured) = (map(sum, zip(*side, strict=True)) for side in zip(*twos, strict=True))
    return Batch((even_measured, odd_measured), (even, odd), 2 * len(twos))


def mean_added(batches: list[Batch]) -> float:
    """Return the mean of what is added to a test."""
    return sum(batch.added * batch.tests for batch in batches) / sum(batch.tests for batch in batches)


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
