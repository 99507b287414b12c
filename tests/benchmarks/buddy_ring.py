"""Time buddy beside malloc, and ring beside bare lines of the cache and queue.SimpleQueue.

Ratios of one run, interleaved. Windows in which others have the processors say little: the best tenth tells more.
"""

from __future__ import annotations

import queue
import statistics
import subprocess
import tempfile
import timeit
from collections import defaultdict
from pathlib import Path

from cyx.allocators import Ring, get_include


def in_c() -> None:
    """Compile and run the loops in C, and print the medians and ratios of their rounds."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "buddy_ring"
        source = Path(__file__).with_suffix(".c")
        subprocess.run(
            ["gcc", "-std=gnu11", "-O3", "-pthread", f"-I{get_include()}", "-o", program, source], check=True
        )
        rounds = defaultdict(list)
        for line in subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines():
            name, _, numbers = line.rpartition(": ")
            rounds[name].append([float(number) for number in numbers.split()])
    for name, pairs in rounds.items():
        ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
        if name.startswith("mix"):
            print(f"{name}: buddy {ours:.1f} ns, malloc {theirs:.1f} ns, {ours / theirs:.2f} of it")
        else:
            print(f"{name}: {ours:.1f}, {theirs:.1f}")


def in_python() -> None:
    """Print what a message costs, in and out, by single calls and by 100 at a time."""
    there, ring, packet = queue.SimpleQueue(), Ring(1 << 16, producers="one", consumers="one"), b"x" * 16  # type: ignore[var-annotated]
    calls = {
        "queue.SimpleQueue, put and get": ("put(x); get()", {"put": there.put, "get": there.get, "x": packet}, 1),
        "Ring, push and pop": ("put(x); get()", {"put": ring.push, "get": ring.pop, "x": packet}, 1),
        "Ring, push_many and pop_many": (
            "put(x); get(100)",
            {"put": ring.push_many, "get": ring.pop_many, "x": [packet] * 100},
            100,
        ),
    }
    times = defaultdict(list)
    for _ in range(200):
        for name, (code, names, messages) in calls.items():
            times[name].append(timeit.timeit(code, globals=names, number=2000 // messages) / 2000 * 1e9)
    peer = min(times["queue.SimpleQueue, put and get"])
    for name, found in times.items():
        print(f"{name}: {min(found):.0f} ns a message, {peer / min(found):.2f} x SimpleQueue")


if __name__ == "__main__":
    in_c()
    in_python()
