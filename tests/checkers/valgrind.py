"""Run tests of the kernels and regions under valgrind's memcheck: ``make valgrind``.

An error counts where our extension modules have a part in it: the interpreter has errors of its own, and leaves most of
its memory to the end of the process. A leak counts where our code asked for the block itself, with no Python code in
between, after its module was loaded. Arguments go to pytest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from common import PROJECT, PYTEST, TESTS, VARIABLES, deselected, end, plant, verdict

CHOSEN = [
    "cyx/patterns/test_sequential.py",
    "cyx/patterns/test_stream.py",
    "cyx/patterns/test_strided.py",
    "cyx/patterns/test_indexed.py",
    "cyx/patterns/test_chase.py",
    "cyx/patterns/test_at_random.py",
    "cyx/patterns/test_search.py",
    "cyx/patterns/test_nontemporal.py",
    "cyx/test_region.py",
    "cyx/test_region_states.py",
    "cyx/allocators/test_pool.py",
    "cyx/allocators/test_frame.py",
]
LEFT_OUT = {
    "cyx/patterns/test_chase.py::TestDamage": "the pointers that are followed lead elsewhere on purpose",
    "cyx/test_region.py::TestMistakes": "it counts mappings, and valgrind makes some of its own",
    "cyx/test_region.py::TestHugePages::test_one_fault_for_each": "valgrind takes faults of its own",
}
CASES = "20"
"""Of each test that gives anything."""
COMMAND = (
    "valgrind", "--tool=memcheck", "--error-limit=no", "--num-callers=40", "--leak-check=full",
    "--quiet", "--show-leak-kinds=definite", "--child-silent-after-fork=yes", "--xml=yes",
)  # fmt: skip
INTERPRETER = "_PyEval_EvalFrame"
"""How the functions begin that run Python code."""
LOADING = "__pyx_pymod_exec"
"""How the functions begin that make what a module keeps until the process ends."""


def main(arguments: list[str]) -> int:
    """Run the tests; return 0 where they pass and nothing of ours was reported."""
    if shutil.which(COMMAND[0]) is None:
        end("valgrind is missing: apt-get install valgrind")
    environment = {**os.environ, **VARIABLES, "MEMPERF_FUZZ": CASES}
    with tempfile.TemporaryDirectory(prefix="memperf-valgrind-") as name:
        report = Path(name, "report.xml")
        before = [*COMMAND, f"--xml-file={report}"]
        plant(environment, before)
        if not any(error.startswith("InvalidRead") for error in errors(report)):
            end("the planted error was not found")
        tests = [str(TESTS / test) for test in CHOSEN]
        status = subprocess.run(
            [*before, *PYTEST, *deselected(LEFT_OUT), *arguments, *tests], env=environment, cwd=PROJECT
        ).returncode
        found = list(errors(report))
    return verdict(status, found, "errors of valgrind with a part of ours", LEFT_OUT)


def errors(report: Path) -> Iterator[str]:
    """Yield the errors in which our modules have a part: the kind, and the functions from the innermost on."""
    for error in ElementTree.parse(report).iter("error"):
        kind = error.findtext("kind", "")
        frames = [(frame.findtext("fn", "?"), frame.findtext("obj", "")) for frame in error.iterfind("stack[1]/frame")]
        if kind.startswith("Leak"):
            ends = [place for place, (function, _) in enumerate(frames) if function.startswith(INTERPRETER)]
            frames = frames[: min(ends, default=None)]
            if any(function.startswith(LOADING) for function, _ in frames):
                continue
        if any("/cyx/" in module for _, module in frames):
            yield "\n  ".join([kind, *(f"{function} ({module})" for function, module in frames)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
