"""Try the gate: ``python tests/benchmarks/gate/trials.py same|innocent|planted [REPETITIONS [CHANGE ...]]``.

``same`` compares a commit with itself, half of the time beside a busy neighbour; ``innocent`` commits that change
nothing that matters with their parent; ``planted`` changes of known size with theirs. Each prints a line for every run,
and at the end how often the gate was right, by kind of metric. ``planted`` can be had for some of its changes.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from cyx.process import die_with_parent

HERE = Path(__file__).parent
MODULE = "fifty/__init__.py"
TESTS = "tests/test_fifty.py"
NOISY = {"wall_time", "cpu_time", "throughput"}

Edit = Callable[[str], str]


def replacing(old: str, new: str) -> Edit:
    """Return an edit that has to find what it replaces."""

    def edit(text: str) -> str:
        assert old in text, old
        return text.replace(old, new, 1)

    return edit


INNOCENT: dict[str, tuple[str, Edit]] = {
    "a longer docstring": (
        MODULE,
        replacing('"""Write to so many fresh pages."""', f'"""Write. {"More words. " * 60}"""'),
    ),
    "a comment": (MODULE, replacing("    total = 0\n", "    total = 0  # so far\n")),
    "a new unused function": (
        MODULE,
        lambda text: f'{text}\n\ndef unused(a, b=1):\n    """Do nothing."""\n    return a + b\n',
    ),
    "many unused functions": (
        MODULE,
        lambda text: text + "".join(f"\n\ndef unused_{i}(a):\n    return a * {i}\n" for i in range(40)),
    ),
    "another import": (MODULE, replacing("import heapq\n", "import heapq\nimport fractions\n")),
    "a large import": (MODULE, replacing("import heapq\n", "import heapq\nimport asyncio\n")),
    "a renamed local": (MODULE, lambda text: text.replace("total", "running_sum")),
    "a reordered class": (MODULE, lambda text: _moved_class(text)),
    "a new test": (TESTS, lambda text: f"{text}\n\ndef test_new():\n    assert fifty.generator(10) == 90\n"),
    "an unused dependency upgraded": ("pyproject.toml", replacing("six==1.16.0", "six==1.17.0")),
    "a constant": (MODULE, replacing("SLOWER = 1.0\n", 'SLOWER = 1.0\nNAMES = ["one", "two", "three"]\n')),
}
PLANTED: dict[str, tuple[Edit, str, str]] = {
    "one page": (replacing("EXTRA_PAGES = 0", "EXTRA_PAGES = 1"), "touch]", "minor_faults"),
    "16 pages": (replacing("EXTRA_PAGES = 0", "EXTRA_PAGES = 16"), "touch]", "minor_faults"),
    "1 % more touched": (replacing("EXTRA_PAGES = 0", "EXTRA_PAGES = 50"), "touch_many]", "minor_faults"),
    "256 KiB at peak": (replacing("EXTRA_PEAK = 0", "EXTRA_PEAK = 256 * 1024"), "hold]", "peak_rss"),
    "5 % at peak": (replacing("EXTRA_PEAK = 0", "EXTRA_PEAK = 200_000"), "hold]", "peak_rss"),
    "10 % slower": (replacing("SLOWER = 1.0", "SLOWER = 1.1"), "spin]", "wall_time"),
    "3 % slower": (replacing("SLOWER = 1.0", "SLOWER = 1.03"), "spin]", "wall_time"),
}


def _moved_class(text: str) -> str:
    start = text.index("class Point:")
    end = text.index("def objects(")
    return text[:start] + text[end:] + "\n\n" + text[start:end].rstrip() + "\n"


def git(folder: Path, *arguments: str) -> None:
    """Run git in the folder."""
    names = ("-c", "user.name=Trial", "-c", "user.email=trial@example.com")
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True)


@contextmanager
def project() -> Iterator[Path]:
    """Make a repository of the project, with one commit."""
    with tempfile.TemporaryDirectory(prefix="gate-trials-") as name:
        folder = Path(name) / "project"
        shutil.copytree(HERE / "project", folder)
        git(folder, "init", "--quiet", "--initial-branch=main")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", "before")
        yield folder


@contextmanager
def committed(folder: Path, file: str, edit: Edit) -> Iterator[None]:
    """Have an edit committed, for a while."""
    path = folder / file
    path.write_text(edit(path.read_text()))
    git(folder, "commit", "--quiet", "--all", "--message", "after")
    try:
        yield
    finally:
        git(folder, "reset", "--quiet", "--hard", "HEAD~1")


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    """Keep a processor busy, with memory and calculations."""
    work = "while True: sum(range(1_000_000)); bytearray(50_000_000)"
    command = [sys.executable, "-c", work]
    process = subprocess.Popen(command, preexec_fn=partial(die_with_parent, signal.SIGKILL)) if busy else None
    try:
        yield
    finally:
        if process is not None:
            process.kill()
            process.wait()


def gate(folder: Path, base: str, head: str, *arguments: str) -> tuple[dict[str, object], float]:
    """Run the gate, and return its findings and the seconds it took."""
    began = time.monotonic()
    command = [Path(sys.executable).with_name("memperf"), "ab", base, head, "--format=json", "--", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode not in (0, 1, 3):
        sys.exit(done.stderr)
    (found,) = json.loads(done.stdout)["comparisons"]
    return found, time.monotonic() - began


def alarms(found: dict[str, object]) -> list[str]:
    """Return what was called different."""
    metrics: list[dict[str, object]] = found["metrics"]  # type: ignore[assignment]
    return [
        f"{each['verdict']} {each['metric']} of {each['test']}: {each['reason']}"
        for each in metrics
        if each["verdict"] in ("worse", "better", "changed")
    ]


def same(repetitions: int) -> None:
    """Compare a commit with itself."""
    wrong: Counter[str] = Counter()
    with project() as folder:
        gate(folder, "HEAD", "HEAD", "-k", "touch")  # builds
        for number in range(repetitions):
            with neighbour(number % 2 == 1):
                found, seconds = gate(folder, "HEAD", "HEAD")
            _count(wrong, f"run {number + 1}{', busy' if number % 2 else ''}", found, seconds)
    _tell(wrong, repetitions)


def innocent(repetitions: int) -> None:
    """Compare innocent commits with their parent."""
    wrong: Counter[str] = Counter()
    kinds = list(INNOCENT.items())
    with project() as folder:
        for number in range(repetitions):
            name, (file, edit) = kinds[number % len(kinds)]
            with committed(folder, file, edit):
                found, seconds = gate(folder, "HEAD~1", "HEAD")
            _count(wrong, name, found, seconds)
    _tell(wrong, repetitions)


def planted(repetitions: int, *names: str) -> None:
    """Compare planted changes with their parent, each so many times, on the test that they concern."""
    with project() as folder:
        for name in names or PLANTED:
            edit, test, metric = PLANTED[name]
            found_it, took, missed = 0, 0.0, Counter[str]()
            with committed(folder, MODULE, edit):
                for _ in range(repetitions):
                    found, seconds = gate(folder, "HEAD~1", "HEAD", "-k", test.rstrip("]"))
                    right = [
                        each for each in alarms(found) if each.startswith(f"worse {metric} ") and f"{test}:" in each
                    ]
                    found_it += bool(right)
                    took += seconds
                    if not right:
                        missed.update(_told(found, test, metric))
            print(f"{name}: {found_it} of {repetitions}, {took / repetitions:.1f} s each", flush=True)
            for told, times in missed.most_common():
                print(f"    {times} times {told}", flush=True)


def _told(found: dict[str, object], test: str, metric: str) -> Iterator[str]:
    """Yield what was said of the metric, and from which change on it would have been called one."""
    for each in found["metrics"]:  # type: ignore[attr-defined]
        if each["metric"] == metric and each["test"].endswith(test):
            smallest = each["smallest_change"]
            shown = "none stated" if smallest is None else f"{smallest:,.4g} {each['unit']}"
            yield f"{each['verdict']} {metric}, smallest change {shown}"


def _count(wrong: Counter[str], name: str, found: dict[str, object], seconds: float) -> None:
    raised = alarms(found)
    kinds = {"noisy" if each.split()[1] in NOISY else "exact or bounded" for each in raised}
    wrong.update(kinds)
    print(f"{name}: {seconds:.0f} s, {found['counts']}", *raised, sep="\n    ", flush=True)


def _tell(wrong: Counter[str], runs: int) -> None:
    for kind in ("exact or bounded", "noisy"):
        print(f"runs with a false alarm, {kind}: {wrong[kind]} of {runs}")


if __name__ == "__main__":
    trial, *asked = sys.argv[1:]
    {"same": same, "innocent": innocent, "planted": planted}[trial](int(asked[0]) if asked else 40, *asked[1:])
