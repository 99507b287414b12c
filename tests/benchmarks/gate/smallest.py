"""Print how small a change shows in the examples: ``python tests/benchmarks/gate/smallest.py [demo] [FOLDER ...]``.

``memperf ab HEAD HEAD`` runs over each folder of ``examples``. A test counts with the largest of the changes of
``minor_faults`` that are stated for its windows as the smallest that would show. Files have the sizes of
``examples/smaller.env``, with ``demo`` those of ``make demo``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"
PAGES = 16
METRIC = "minor_faults"
# Those of this project make every warning an error, and name a folder whose conftest.py needs what no side has.
SETTINGS = ("-o", "filterwarnings=", "-o", "testpaths=examples")


def compared(folder: str, sizes: dict[str, str]) -> list[dict[str, Any]]:
    """Return what the gate says of the metric in each window of the folder's tests."""
    memperf = str(Path(sys.executable).with_name("memperf"))
    # Times are not the question here.
    asked = ["ab", "HEAD", "HEAD", "--all", "--format=json", "--max-time=1", "--", f"examples/{folder}", *SETTINGS]
    done = subprocess.run(
        [memperf, *asked],
        cwd=ROOT, env={**os.environ, **sizes}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    if not done.stdout:
        sys.exit(f"examples/{folder} did not run: the gate ended with {done.returncode}")
    (found,) = json.loads(done.stdout)["comparisons"]
    return [each for each in found["metrics"] if each["metric"] in (METRIC, None)]


def reason(window: dict[str, Any]) -> str:
    """Return why the smallest change is what it is."""
    if window["smallest_change"] is None:
        return f"none is stated: {window['verdict']}, {window['reason']}"
    sides = (window["base"], window["head"])
    value = max(side["value"] for side in sides)
    spread = max(side["high"] for side in sides) - min(side["low"] for side in sides)
    why = (
        f"its samples spread by {spread:,.0f}"
        if spread
        else "its samples agree; it is the share that is taken for no change"
    )
    return f"{window['smallest_change']:,.1f} of {value:,.0f} in the window {window['window']!r}: {why}"


def sharpness(window: dict[str, Any]) -> float:
    """Return the smallest change, for comparing."""
    return float("inf") if window["smallest_change"] is None else float(window["smallest_change"])


def tell(windows: Iterable[dict[str, Any]]) -> None:
    """Print the share of tests in which few pages show, and the others."""
    worst: dict[str, dict[str, Any]] = {}
    for window in windows:
        test = window["test"]
        if test not in worst or sharpness(window) > sharpness(worst[test]):
            worst[test] = window
    above = {test: window for test, window in worst.items() if sharpness(window) > PAGES}
    print(f"{len(worst) - len(above)} of {len(worst)} tests would show {PAGES} {METRIC} more or fewer; the others:")
    for test, window in above.items():
        print(f"{test}: {reason(window)}")


if __name__ == "__main__":
    asked = sys.argv[1:]
    whole = "demo" in asked
    lines = (EXAMPLES / "smaller.env").read_text().split()
    sizes = {} if whole else dict(line.split("=", 1) for line in lines)
    folders = [name for name in asked if name != "demo"]
    folders = folders or sorted(path.parent.name for path in EXAMPLES.glob("*/README.md"))
    windows = []
    for folder in folders:
        print(f"examples/{folder} ...", file=sys.stderr, flush=True)
        windows += compared(folder, sizes)
    tell(windows)
