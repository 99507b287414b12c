"""The example ``gate``: ``make gate-demo``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "gate" / "run.py"


@pytest.mark.parametrize(("arguments", "code"), [((), 1), (("--innocent",), 0)], ids=["regression", "innocent"])
def test_ends_with_the_code_of_the_gate(arguments: tuple[str, ...], code: int) -> None:
    """The comment names the line of the planted regression; without it there is nothing to name."""
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=600)

    assert done.returncode == code, done.stderr
    assert f"exit code of memperf ab: {code}" in done.stdout
    assert ("lines = list(lines)" in done.stdout) is bool(code)
