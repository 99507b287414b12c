"""Try the gate on published versions: ``python tests/benchmarks/gate/published.py FOLDER [REPETITIONS] [PAIR ...]``.

Each folder in FOLDER is a pair: ``workload.py`` with ``run()``, and ``pair.toml`` with the Python version (``python``,
or ``python_old`` and ``python_new``), what pip installs (``old``, ``new``), the ``metric`` that changes, its
``direction`` (``worse``, ``better``, or ``null`` where any report is a false alarm), and what was ``measured`` round
``run()`` without this project. A run is right where it tells this metric in this direction, its size up to a tenth, and
of more counts or bytes where they come from: that is printed, for whether it is the right place a reader has to say.
Of times the size is measured anew before and after each run, by plain processes in turns: it is another one on another
machine, and from one minute to the next. Interpreters of these versions are looked for where pyenv has them. Needs
Python 3.11 or later.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import tomllib

ROOT = Path(__file__).parents[3]
METRICS = {
    "maxrss_kib": ("peak_rss", "fn_hwm_delta_kib", 1024),
    "fn_rss_growth_kib": ("retained_rss", "fn_rss_growth_kib", 1024),
    "minflt": ("minor_faults", "fn_minflt", 1),
    "fn_wall_s": ("wall_time", "fn_wall_s", 1),
}
"""By a pair's metric: ours, what was measured of it round ``run()``, and how much its unit is in ours."""
OFF = 0.1
"""How far a size may lie from what was measured otherwise."""
OFF_TIME = 0.3
"""The same for times, whose ratios differ as much from one minute to the next beside other programs."""
PLAIN_PAIRS = 5
"""How many before a run of the gate, and how many after it."""
TEST = """import pytest, workload


@pytest.mark.memperf(metrics=["minor_faults", "peak_rss", "retained_rss", "wall_time"])
def test_run():
    workload.run()
"""
PLAIN = "import time, workload; began = time.perf_counter(); workload.run(); print(time.perf_counter() - began)"
Pair = Mapping[str, Any]


def interpreter(version: str) -> Path:
    """Return where pyenv has this version."""
    return Path.home() / ".pyenv" / "versions" / version / "bin" / "python"


def wheel(version: str, folder: Path) -> Path:
    """Build this project for the version, once, and return the wheel."""
    if not (built := [*folder.glob(f"*-cp{''.join(version.split('.')[:2])}-*.whl")]):
        command = [interpreter(version), "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={folder}", ROOT]
        subprocess.run(command, check=True)
        return wheel(version, folder)
    return built[0]


def environment(folder: Path, version: str, requirements: Sequence[str], wheels: Path) -> Path:
    """Make an environment with the requirements and this project, and return its interpreter."""
    subprocess.run([interpreter(version), "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel(version, wheels), *requirements], check=True)
    return python


def sides(pair: Pair, folder: Path, wheels: Path) -> list[str]:
    """Return the arguments that name the two sides; this project is there for the interpreters that they need."""
    if "python" in pair:
        if pair["python"] != platform.python_version():
            wheel(pair["python"], wheels)
        python = interpreter(pair["python"])
        return [*(f"--requirement={' '.join(pair[side])}" for side in ("old", "new")), f"--python={python}"]
    made = [environment(folder / side, pair[f"python_{side}"], pair[side], wheels) for side in ("old", "new")]
    return [f"--side={name}={python}" for name, python in zip(("base", "head"), made, strict=True)]


def plain_pythons(pair: Pair, folder: Path, wheels: Path) -> list[Path]:
    """Return interpreters with the old and the new version."""
    versions = [pair.get("python") or pair[f"python_{side}"] for side in ("old", "new")]
    return [
        environment(folder / f"plain-{side}", version, pair[side], wheels)
        for side, version in zip(("old", "new"), versions, strict=True)
    ]


def plain_ratios(pythons: Sequence[Path], folder: Path) -> list[float]:
    """Return how many times as long the new version takes, by processes in turns; nothing without interpreters."""
    ratios = []
    for _ in range(PLAIN_PAIRS if pythons else 0):
        command = [[python, "-c", PLAIN] for python in pythons]
        done = [subprocess.run(each, cwd=folder, capture_output=True, text=True, check=True) for each in command]
        before, after = (float(each.stdout) for each in done)
        ratios.append(after / before)
    return ratios


def wrong(pair: Pair, found: Mapping[str, Any], ratio: float | None) -> str:
    """Return what the gate tells wrongly of the pair; nothing where it is right.

    Args:
        ratio: of its times, where these are what changes.
    """
    told = {each["metric"]: each for each in found["metrics"] if each["verdict"] in ("worse", "better", "changed")}
    if pair["direction"] == "null":
        return ", ".join(f"{each['verdict']} {name}" for name, each in told.items())
    metric, measured, unit = METRICS[pair["metric"]]
    if metric not in told:
        return f"does not tell {metric}"
    each = told[metric]
    if each["verdict"] != pair["direction"]:
        return f"calls {metric} {each['verdict']}"
    if each["verdict"] == "worse" and metric != "wall_time" and not found.get("explanations"):
        return f"does not tell where {metric} comes from"
    if ratio is not None:
        told_ratio = each["head"]["value"] / each["base"]["value"]
        return "" if abs(told_ratio - ratio) <= OFF_TIME * ratio else f"{told_ratio:.2f} times as long, not {ratio:.2f}"
    before, after = (pair["measured"][side][measured] * unit for side in ("old", "new"))
    ours = each["head"]["value"] - each["base"]["value"]
    wanted = after - before
    return "" if abs(ours - wanted) <= OFF * abs(wanted) else f"{metric} differs by {ours:,.0f}, not {wanted:,.0f}"


def summary(found: Mapping[str, Any]) -> str:
    """Return all that was told, in a line."""
    return ", ".join(
        f"{each['verdict']} {each['metric']} {each['base']['value']:,.4g} -> {each['head']['value']:,.4g}"
        for each in found["metrics"]
        if each["verdict"] in ("worse", "better", "changed")
    )


def tried(place: Path, repetitions: int, wheels: Path) -> None:
    """Run the gate on a pair, and print how often it was right."""
    pair = tomllib.loads((place / "pair.toml").read_text())
    with tempfile.TemporaryDirectory(prefix="published-") as name:
        folder = Path(name) / "project"
        (folder / "tests").mkdir(parents=True)
        (folder / "workload.py").write_text((place / "workload.py").read_text())
        (folder / "tests" / "test_run.py").write_text(TEST)
        (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\npythonpath = ['.']\n")
        memperf = Path(sys.executable).with_name("memperf")
        command = [memperf, "ab", *sides(pair, Path(name), wheels), "--format=json", "--", "tests"]
        settings = {**os.environ, "PIP_FIND_LINKS": f"{os.environ.get('PIP_FIND_LINKS', '')} {wheels}".strip()}
        pythons = plain_pythons(pair, Path(name), wheels) if METRICS[pair["metric"]][0] == "wall_time" else []
        ratios = []
        mistakes: Counter[str] = Counter()
        whys: Counter[str] = Counter()
        took = []
        for _ in range(repetitions):
            plain = plain_ratios(pythons, folder)
            began = time.monotonic()
            done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)
            took.append(time.monotonic() - began)
            if done.returncode not in (0, 1, 3):
                sys.exit(f"{place.name}: {done.stderr}")
            (found,) = json.loads(done.stdout)["comparisons"]
            plain += plain_ratios(pythons, folder)
            ratio = median(plain) if plain else None
            ratios += [ratio] if ratio else []
            if mistake := wrong(pair, found, ratio):
                mistakes[mistake] += 1
            for lines in found.get("explanations", {}).values():
                whys[" | ".join(lines)] += 1
    right = repetitions - mistakes.total()
    print(f"{place.name}: {right} of {repetitions} right, {min(took):.0f} to {max(took):.0f} s", flush=True)
    for mistake, times in mistakes.most_common():
        print(f"    {times} times: {mistake}")
    print(f"    at last: {summary(found) or 'nothing told'}")
    if ratios:
        before, after = (pair["measured"][side]["fn_wall_s"] for side in ("old", "new"))
        print(f"    plainly {min(ratios):.2f} to {max(ratios):.2f} times as long; recorded {after / before:.2f}")
    for why, times in whys.most_common():
        print(f"    {times} times because of: {why}", flush=True)


if __name__ == "__main__":
    history, *others = sys.argv[1:]
    number = int(others.pop(0)) if others and others[0].isdigit() else 20
    with tempfile.TemporaryDirectory(prefix="wheels-") as wheels:
        for each in sorted(Path(history).glob("*/pair.toml")):
            if not others or each.parent.name in others:
                tried(each.parent, number, Path(wheels))
