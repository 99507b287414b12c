"""Private mount namespaces, where tests fill small disks or make them read-only."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def can_mount() -> bool:
    """Tell whether a private mount namespace can be had."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not can_mount(), reason="no mount namespaces for this user: run as root")
