"""Our allocators against the libraries for malloc, per pair of allocate and free: ``make bench-allocators``.

The loops are the same C in one Cython module, built in the run, once for each allocator. Ours are inline there, as they
are for any Cython code that cimports them; ``malloc`` is a call. Each side is a process of its own: the libraries by
LD_PRELOAD, as programs have them, which each process proves. Loaded by dlopen beside glibc's they would run with the
slower kind of thread-local storage, or not at all. All processes live at the same time and take turns, one loop each,
all on one processor.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from side import SIDES

from cyx.allocators import get_include
from pytest_memperf.malloc import MALLOCS
from pytest_memperf.malloc.preload import environment_under, lack

HERE = Path(__file__).parent
SIZES = (16, 64, 256, 1024, 4096)
PATTERNS = {
    "pairs": "allocate, free, allocate, free ...",
    "batch": "allocate 1,000, free them in that order",
    "random": "allocate 1,000, free them in any order",
}
PAIRS = 1_000_000
ROUNDS = int(os.environ.get("ROUNDS", "9"))
GOALS = {"pool": 1 / 3, "frame": 1 / 3}
"""The most that a side may take, as a share of the best library's time."""


def build(folder: Path) -> Path:
    """Compile the loops; without what a compiler knows of malloc, or it would leave the pairs out."""
    setup = folder / "setup.py"
    setup.write_text(
        "from Cython.Build import cythonize\nfrom setuptools import Extension, setup\n"
        f"setup(ext_modules=cythonize(Extension('loops', [{str(folder / 'loops.pyx')!r}],"
        f" include_dirs=[{str(HERE)!r}, {get_include()!r}],"
        " extra_compile_args=['-std=gnu11', '-O3', '-fno-builtin-malloc', '-fno-builtin-free', '-w']),"
        f" include_path=[{str(Path(get_include()).parents[1])!r}]))\n"
    )
    (folder / "loops.pyx").write_text((HERE / "loops.pyx").read_text())
    command = [sys.executable, str(setup), "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("loops*.so"))


class Side:
    """A process that runs one loop at a time."""

    def __init__(self, name: str, library: Path) -> None:
        environment = dict(os.environ)
        if name in MALLOCS:
            environment = environment_under(MALLOCS[name], environment)
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "side.py"), str(library), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        if self.process.stdout.readline() != '"ready"\n':
            sys.exit(f"{name}: the process did not begin")

    def run(self, pattern: str, size: int) -> float:
        """Return nanoseconds per pair."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([pattern, size, PAIRS]) + "\n")
        self.process.stdin.flush()
        return float(json.loads(self.process.stdout.readline())) / PAIRS

    def end(self) -> None:
        """Let it go."""
        self.process.communicate()


def main() -> int:
    """Print a table for each pattern; return 1 where a goal is missed."""
    for malloc in list(MALLOCS.values()):
        if why := lack(malloc):
            sys.exit(f"{malloc.name}: {why}")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    names = [*MALLOCS, *SIDES]
    times: dict[tuple[str, int, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        library = build(Path(folder))
        sides = {name: Side(name, library) for name in names}
        for round_ in range(ROUNDS + 1):
            for pattern in PATTERNS:
                for size in SIZES:
                    for name in random.sample(names, len(names)):
                        taken = sides[name].run(pattern, size)
                        if round_:  # the first one fills the heaps
                            times.setdefault((pattern, size, name), []).append(taken)
        for side in sides.values():
            side.end()
    return report(names, times)


def report(names: list[str], times: dict[tuple[str, int, str], list[float]]) -> int:
    """Print medians in nanoseconds per pair, and ratios of rounds to the best library of the same round."""
    missed = []
    for pattern, what in PATTERNS.items():
        print(f"\n{what}: nanoseconds per pair, and the share of the best library's time; medians of {ROUNDS} rounds")
        print(f"{'bytes':>6}" + "".join(f"{name:>20}" for name in names))
        for size in SIZES:
            line = f"{size:>6}"
            best = min((times[pattern, size, name] for name in MALLOCS), key=median)
            for name in names:
                own = times[pattern, size, name]
                ratio = median(mine / theirs for mine, theirs in zip(own, best, strict=True))
                line += f"{median(own):>13.2f} {ratio:>6.2f}"
                if ratio > GOALS.get(name, ratio):
                    missed.append(
                        f"{name}, {size} bytes, {pattern}: {ratio:.2f} of the best, {GOALS[name]:.2f} is the goal"
                    )
            print(line)
    print("\n" + ("\n".join(["missed:", *missed]) if missed else "all goals are met"))
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
