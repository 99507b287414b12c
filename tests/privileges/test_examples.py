"""The examples as an ordinary user runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from situations import AS_NOBODY, in_namespaces, made_by_root, needs, reachable

EXAMPLES = Path(__file__).parents[2] / "examples"
MENDS = ("memperf hugepages reserve ", "qemu -numa ", "echo ", "use a kernel ", ": set ", "apt-get install ")
"""How a skip says that what is missing can be had."""

pytestmark = made_by_root


def test_they_pass_and_each_skip_names_its_mend(folder: Path) -> None:
    """The user nobody lacks reserved huge pages at most; what this machine lacks is said with the way to get it."""
    wrapper = [*in_namespaces(f"mount -t proc -o hidepid=2 proc /proc\n{reachable()}"), *AS_NOBODY]
    needs(wrapper)
    shutil.copytree(EXAMPLES, folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    smaller = dict(line.split("=") for line in (EXAMPLES / "smaller.env").read_text().split())
    options = ["-p", "no:cacheprovider", "-rs", f"--basetemp={folder / 'temporary'}", "examples"]
    done = subprocess.run(
        [*wrapper, sys.executable, "-m", "pytest", *options],
        cwd=folder,
        env={**os.environ, **smaller},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    reasons = re.findall(r"^SKIPPED \[\d+\] \S+ (.*)$", done.stdout, re.MULTILINE)
    assert [reason for reason in reasons if not any(mend in reason for mend in MENDS)] == []
    outcomes = dict(reversed(each.split()) for each in re.findall(r"\d+ \w+", done.stdout.splitlines()[-1]))
    assert int(outcomes["passed"]) > int(outcomes.get("skipped", 0))
