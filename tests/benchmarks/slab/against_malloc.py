"""Compare slab with the malloc libraries, and print the medians and their ratios to mimalloc.

    python tests/benchmarks/slab/against_malloc.py [ROUNDS] [LOOP ...]

Every library serves a process of its own, by LD_PRELOAD: of several in one process only one can have its own
thread-local storage and its own hooks as it was built to. The compiled loop is the same, and calls all of them by
function pointers. Each round runs all of them, in another order, so that what the machine does meanwhile meets all
alike.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import cyx.allocators

LOOPS = ["million", "sixteen", "pair", "temporaries", "lifo", "mix", "growth", "messages"]


def libraries() -> dict[str, str | None]:
    """Return what to preload for each that is installed."""
    cache = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    found: dict[str, str | None] = {"slab": None, "glibc": None}
    for name, stem in (
        ("jemalloc", "libjemalloc.so"),
        ("tcmalloc", "libtcmalloc_minimal.so"),
        ("mimalloc", "libmimalloc.so"),
    ):
        paths = [line.split("=> ")[1] for line in cache.splitlines() if line.strip().startswith(stem)]
        if paths:
            found[name] = paths[0]
    return found


def build(folder: Path) -> Path:
    """Compile the loops."""
    program = folder / "loops"
    headers = cyx.allocators.get_include()
    source = Path(__file__).with_name("loops.c")
    subprocess.run(
        ["gcc", "-std=gnu11", "-O3", "-pthread", f"-I{headers}", str(source), "-o", str(program)], check=True
    )
    return program


def run(program: Path, name: str, preload: str | None, loop: str) -> float:
    """Return what one process measured."""
    environment = dict(os.environ, LD_PRELOAD=preload) if preload else dict(os.environ)
    printed = subprocess.run([str(program), name, loop], env=environment, capture_output=True, text=True, check=True)
    return float(printed.stdout)


def main() -> None:
    """Print a table of medians, in milliseconds or MiB, with the ratio to mimalloc."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    loops = sys.argv[2:] or LOOPS
    found = libraries()
    with tempfile.TemporaryDirectory() as folder:
        program = build(Path(folder))
        print(f"{'':12}" + "".join(f"{name:>20}" for name in found))
        for loop in loops:
            taken: dict[str, list[float]] = {name: [] for name in found}
            for _ in range(rounds):
                for name in random.sample(list(found), len(found)):
                    taken[name].append(run(program, name, found[name], loop))
            scale, unit = (2**-20, "MiB") if loop == "messages" else (1e3, "ms")
            peer = median(taken["mimalloc"]) if "mimalloc" in taken else float("nan")
            cells = (f"{median(times) * scale:9.1f} {unit:3} {median(times) / peer:5.2f}" for times in taken.values())
            print(f"{loop:12}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
