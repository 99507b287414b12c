"""Situations with fewer privileges, as commands that another one is run under."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

made_by_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("unshare"),
    reason="these situations are made by root, with setpriv and unshare of util-linux",
)


def in_namespaces(script: str) -> list[str]:
    """Return a wrapper that runs the script in mount and process namespaces of its own before the command."""
    return ["unshare", "--mount", "--pid", "--fork", "sh", "-ec", f'{script}\nexec "$@"', "sh"]


def reachable() -> str:
    """Return a script that, in a mount namespace, lets other users reach this interpreter below closed folders."""
    covers = {}
    for prefix in {Path(sys.base_prefix), Path(sys.prefix)}:  # tox too closes the folder of its environments
        closed = [parent for parent in reversed(prefix.parents) if not parent.stat().st_mode & 0o001]
        if closed:
            covers[prefix] = closed[0]
    return "\n".join(
        [
            "kept=$(mktemp -d)",
            *(f"mkdir $kept/{n}; mount --bind {prefix} $kept/{n}" for n, prefix in enumerate(covers)),
            *(f"mount -t tmpfs -o mode=755 none {cover}" for cover in set(covers.values())),
            *(f"mkdir -p {prefix}; mount --move $kept/{n} {prefix}" for n, prefix in enumerate(covers)),
            "rm --recursive --one-file-system $kept",
        ]
    )


def can(wrapper: list[str]) -> bool:
    """Tell whether this machine allows the situation, and an interpreter runs in it."""
    return (
        subprocess.run([*wrapper, sys.executable, "-c", "import pytest_memperf, cyx.probes"], check=False).returncode
        == 0
    )


def needs(wrapper: list[str]) -> None:
    """Skip where this machine does not allow the situation."""
    if not can(wrapper):
        pytest.skip(f"this machine cannot run {sys.executable} under: {' '.join(wrapper)}")
