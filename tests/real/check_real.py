"""Run test suites that nobody here wrote, with the plugin measuring every test and without it, and compare.

``make check-real`` runs all of it; ``python tests/real/check_real.py networkx`` runs one suite. For each suite:

* the outcome of every test, phase by phase, is the same with and without the plugin;
* every test whose function ran is measured;
* the time of a part of the suite, or of all of it, in interleaved runs: the ratio with / without, beside that of
  without / without.

The exit code is 1 where a suite fails one of the first two, or takes more than its ratio allows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

WITHOUT = ("-p", "no:memperf")
WITH = ("--memperf-all",)
HIGHEST_RATIO = 1.03


@dataclass(frozen=True)
class Suite:
    """Someone's tests, as pytest arguments: all of them, and a part that is run often to compare times."""

    name: str
    everything: tuple[str, ...]
    part: tuple[str, ...]


SUITES = (
    Suite("numpy", ("--pyargs", "numpy"), ("--pyargs", "numpy.lib", "numpy.ma")),
    Suite("networkx", ("--pyargs", "networkx"), ("--pyargs", "networkx.classes", "networkx.generators")),
)


def run(folder: Path, arguments: tuple[str, ...]) -> float:
    """Run pytest in the folder and return the seconds of CPU it took, children included."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONHASHSEED": "0"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # numpy.f2py runs meson
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = "1"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "outcomes"]
    log = folder / "log.txt"
    with log.open("w") as output:
        ended = subprocess.run(
            [*command, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    if ended.returncode not in (0, 1):
        raise SystemExit(f"pytest {' '.join(arguments)} ended with {ended.returncode}:\n{log.read_text()[-5000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def load(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def compare_outcomes(suite: Suite, folder: Path) -> bool:
    """Run everything once without and once with the plugin; print what differs, and tell whether nothing does."""
    seconds_without = run(folder, (*WITHOUT, *suite.everything, "--outcomes=without.json"))
    seconds_with = run(folder, (*WITH, *suite.everything, "--outcomes=with.json", "--memperf-json=results.json"))
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


def compare_times(suite: Suite, tests: tuple[str, ...], folder: Path, pairs: int) -> bool:
    """Run tests without, with and without the plugin, in turn; print the ratios and tell whether they are allowed."""
    ratios, unchanged = [], []
    for _ in range(pairs):
        first, measured, second = (run(folder, (*mode, *tests)) for mode in (WITHOUT, WITH, WITHOUT))
        ratios.append(measured / ((first + second) / 2))
        unchanged.append(second / first)
    ratio = median(ratios)
    print(
        f"{suite.name}: {' '.join(tests[1:])}: CPU time with / without {ratio:.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f} in {pairs} runs); "
        f"without / without {median(unchanged):.3f} ({min(unchanged):.3f} to {max(unchanged):.3f})"
    )
    return ratio <= HIGHEST_RATIO


def main() -> int:
    """Check the suites that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(suite.name for suite in SUITES))
    parser.add_argument("--pairs", type=int, default=5, help="runs of the part whose times are compared; 0 for none")
    parser.add_argument("--times-only", action="store_true", help="leave out the outcomes")
    parser.add_argument("--whole", action="store_true", help="compare the times of the whole suite, not of a part")
    arguments = parser.parse_args()
    good = True
    for suite in SUITES:
        if arguments.suites and suite.name not in arguments.suites:
            continue
        with tempfile.TemporaryDirectory(prefix=f"check-{suite.name}-") as folder:
            if not arguments.times_only:
                good &= compare_outcomes(suite, Path(folder))
            if arguments.pairs:
                good &= compare_times(
                    suite, suite.everything if arguments.whole else suite.part, Path(folder), arguments.pairs
                )
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
