"""The gate at work: a small repository with three commits, of which the last one makes a test hold more memory.

``python examples/gate/run.py`` makes the repository in a temporary folder, compares its last two commits by
``memperf ab`` and shows the comment that a pull request would get; the exit code is the gate's, 1. With ``--innocent``
the last commit changes nothing that matters: 0.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MODULE = "tally/__init__.py"
PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "tally"
version = "1"

[tool.setuptools]
packages = ["tally"]
"""
FIRST = """\
def tally(lines):
    counts = {}
    for line in lines:
        word = line.partition(" ")[0]
        counts[word] = counts.get(word, 0) + 1
    return counts
"""
DOCUMENTED = FIRST.replace("(lines):\n", '(lines):\n    """Return how often each first word occurs."""\n')
REGRESSION = DOCUMENTED.replace(
    "    for line in lines:", "    lines = list(lines)  # to tell their number in messages\n    for line in lines:"
)
INNOCENT = DOCUMENTED.replace("word", "first_word")
TEST = """\
import pytest
from tally import tally


@pytest.mark.memperf
def test_many_lines():
    assert tally(f"word{number % 50} of line {number}" for number in range(100_000))["word7"] == 2_000
"""


def commit(folder: Path, message: str, files: dict[str, str]) -> None:
    """Write the files and commit them."""
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Demo", "-c", "user.email=demo@example.com", "commit", "--quiet", "--message", message)


def git(folder: Path, *arguments: str) -> None:
    """Run git in the folder."""
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def main() -> int:
    """Make the repository, run the gate, and return its exit code."""
    parser = argparse.ArgumentParser(description="Show memperf ab on a small repository.")
    parser.add_argument("--innocent", action="store_true", help="without the regression")
    innocent = parser.parse_args().innocent
    with tempfile.TemporaryDirectory(prefix="gate-demo-") as name:
        folder = Path(name)
        git(folder, "init", "--quiet", "--initial-branch=main")
        commit(folder, "Tally lines", {"pyproject.toml": PYPROJECT, MODULE: FIRST, "tests/test_tally.py": TEST})
        commit(folder, "Say what tally returns", {MODULE: DOCUMENTED})
        if innocent:
            commit(folder, "Call a word the first one", {MODULE: INNOCENT})
        else:
            commit(folder, "Know the number of lines", {MODULE: REGRESSION})
        git(folder, "log", "--oneline", "--reverse")
        gate = [Path(sys.executable).with_name("memperf"), "ab", "HEAD~1", "HEAD", "--format=markdown"]
        code = subprocess.run(gate, cwd=folder, env={**os.environ, "XDG_CACHE_HOME": str(folder / ".cache")}).returncode
        print(f"exit code of memperf ab: {code}")
        return code


if __name__ == "__main__":
    sys.exit(main())
