"""How often ``memperf.leak`` is right: ``python tests/benchmarks/leak/trials.py [REPETITIONS] [CASE ...]``.

Judges each case of tests/leak_cases.py (10 times, or REPETITIONS; all of them, or these), each time in a fork of its
own with all limits 0, and prints how often it was right, wrong and not certain, and the seconds that it took. Ends with
1 where a verdict was not right, but on those that are hard.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median

from pytest_memperf.isolation.forked import in_fork
from pytest_memperf.measure.leak import parse_limits
from pytest_memperf.measure.repetition import find_leak

sys.path.append(str(Path(__file__).parents[2]))  # where a folder is called cyx too

import leak_cases

KINDS = {
    "leak": leak_cases.PLANTED,
    "innocent": leak_cases.INNOCENT,
    "further leak": leak_cases.FURTHER_PLANTED,
    "further innocent": leak_cases.FURTHER_INNOCENT,
    "hard innocent": leak_cases.HARD,
}


def verdict(case: leak_cases.Call) -> tuple[str, list[str]]:
    """Return the verdict on a case, and what it rests on."""
    limits = parse_limits({})
    leak = in_fork(lambda: find_leak(case(), limits, 10.0), case.__name__)
    wrong, unchecked = leak.wrong(limits), leak.unchecked(limits)
    return "leak" if wrong else "not certain" if unchecked else "innocent", [*wrong, *unchecked, *leak.table()]


def main(arguments: list[str]) -> int:
    """Judge the cases; return 1 where one was judged wrongly."""
    repetitions = int(arguments[0]) if arguments else 10
    all_right = dict.fromkeys(KINDS, 0)
    print(f"{'case':28} {'is':17} {'right':>5} {'wrong':>5} {'not certain':>11} {'seconds':>8} {'at most':>8}")
    for kind, cases in KINDS.items():
        for case in cases:
            if arguments[1:] and case.__name__ not in arguments[1:]:
                continue
            found, seconds = [], []
            for _ in range(repetitions):
                began = time.monotonic()
                said, why = verdict(case)
                seconds.append(time.monotonic() - began)
                found.append(said)
                if not kind.endswith(said):
                    print("\n".join([f"{case.__name__}: {said}", *why]))
            right = sum(kind.endswith(said) for said in found)
            unsure = found.count("not certain")
            all_right[kind] += right == repetitions
            print(
                f"{case.__name__:28} {kind:17} {right:5} {repetitions - right - unsure:5} {unsure:11} "
                f"{median(seconds):8.2f} {max(seconds):8.2f}",
                flush=True,
            )
    if arguments[1:]:
        return 0
    for kind, right in all_right.items():
        print(f"{kind}: {right} of {len(KINDS[kind])} right in each of {repetitions} repetitions")
    return int(any(right < len(KINDS[kind]) for kind, right in all_right.items() if kind != "hard innocent"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
