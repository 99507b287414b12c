"""What ``memperf compare`` of two large runs costs, as whole processes: ``python tests/benchmarks/comparing_runs.py``.

Two runs of 25,000, 50,000 and 100,000 results (or as many as the arguments say), of ten metrics each, lie in files;
times differ in every result, one count in a thousand is worse, a third of the peaks is a page apart. They are compared
in turns by ``memperf compare`` and the plainest way, by ``json.load`` and a loop over two dictionaries that looks for
other values. Printed are the least and the median seconds of the rounds, the least processor's seconds (which other
programs disturb less), the largest peak of resident memory, and the median ratio of the seconds of a round.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

MEMPERF = [str(Path(sysconfig.get_path("scripts")) / "memperf"), "compare"]
PLAIN = [
    sys.executable,
    "-c",
    """
import json, sys

def results(path):
    with open(path) as file:
        return {(each["test"], each["window"], each["allocator"], each["isolation"]): each["metrics"]
                for each in json.load(file)["results"]}

base, head = map(results, sys.argv[1:])
print(sum(metric["value"] != base[key][name]["value"]
          for key, metrics in head.items() if key in base
          for name, metric in metrics.items() if name in base[key]))
""",
]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took."""

    seconds: float
    processor: float
    peak: int
    """Bytes."""


def result(number: int, chance: random.Random, is_head: bool) -> dict[str, Any]:
    """Return a result as a file has it."""
    faults = random.Random(number).randrange(20, 5000)
    if is_head and number % 1000 == 0:
        faults *= 2
    peak = faults * 4096
    time = faults * 2.5e-7 * (1 + chance.random() / 10)

    def metric(value: float, unit: str, trust: str, uncertainty: float = 0, **more: Any) -> dict[str, Any]:
        row = {"value": value, "unit": unit, "trust": trust, "better": "lower", "uncertainty": uncertainty}
        return {**row, **more, "samples": [value]}

    metrics = {
        "minor_faults": metric(faults, "count", "exact", floor=4),
        "major_faults": metric(0, "count", "bounded", floor=4),
        "retained_rss": metric(8192, "B", "bounded", floor=16384),
        "peak_rss": metric(peak + 4096 * (chance.random() < 0.3), "B", "bounded", 131072, floor=16384),
        "peak_rss_total": metric(peak + 50_000_000, "B", "bounded", 131072, level=True),
        "wall_time": metric(time, "s", "noisy"),
        "cpu_time": metric(round(time, 6), "s", "noisy"),
        "working_set": metric(peak, "B", "bounded", 4096, floor=16384),
        "allocations": metric(faults * 3, "count", "exact"),
        "allocated_bytes": metric(peak * 3, "B", "exact"),
    }
    check = {"metric": "minor_faults", "bound": "max", "limit": 10_000, "status": "passed", "unit": "count"}
    return {
        "test": f"tests/unit/test_module_{number // 100}.py::TestThing::test_case[{number % 100}]",
        "window": "call",
        "isolation": "process",
        "allocator": "glibc",
        "rounds": 1,
        "metrics": metrics,
        "unavailable": {},
        "checks": [] if number % 3 else [check],
    }


def write_runs(folder: Path, results: int) -> list[str]:
    """Write both runs, a line at a time, so that this process stays small: its children begin with its peak."""
    head = {"format": "pytest-memperf/1", "created": "2026-11-22T10:00:00+00:00"}
    paths = []
    for side in ("base", "head"):
        path, chance = folder / f"{side}-{results}.json", random.Random(side)
        with path.open("w") as file:
            file.write(json.dumps(head)[:-1] + ', "results": [')
            for number in range(results):
                file.write(f"{',' if number else ''}\n{json.dumps(result(number, chance, side == 'head'))}")
            file.write('\n],\n"environment": {"kernel": "6.18.1", "machine": "3f2a"}}\n')
        paths.append(str(path))
    return paths


def cost(command: Sequence[str], paths: Sequence[str]) -> Cost:
    """Return what a process took from start to end."""
    begun = perf_counter()
    process = subprocess.Popen([*command, *paths], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{command[0]} ended with {process.returncode}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def rows(sizes: Sequence[int], rounds: int) -> Iterator[tuple[str, ...]]:
    """Yield a row for each size, each way."""
    yield "results", "way", "least s", "median s", "processor s", "peak MiB", "plain / ours"
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            paths = write_runs(Path(folder), size)
            cost(MEMPERF, paths)  # what the files and modules take to come into the page cache belongs to no round
            taken = [(cost(MEMPERF, paths), cost(PLAIN, paths)) for _ in range(rounds)]
            ratio = median(plain.seconds / ours.seconds for ours, plain in taken)
            for way, each, last in (("memperf", 0, f"{ratio:.1f}"), ("plain", 1, "")):
                costs = [pair[each] for pair in taken]
                yield (
                    f"{size:,}",
                    way,
                    f"{min(cost.seconds for cost in costs):.2f}",
                    f"{median(cost.seconds for cost in costs):.2f}",
                    f"{min(cost.processor for cost in costs):.2f}",
                    f"{max(cost.peak for cost in costs) / 1024**2:.0f}",
                    last,
                )
            for path in paths:
                os.unlink(path)


def main() -> None:
    """Print the table as it comes."""
    parser = argparse.ArgumentParser(description="What memperf compare of two large runs costs.")
    parser.add_argument("results", nargs="*", type=int, default=[25_000, 50_000, 100_000], help="in each run")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for row in rows(options.results, options.rounds):
        print("".join(f"{text:>13}" for text in row), flush=True)


if __name__ == "__main__":
    main()
