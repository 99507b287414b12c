"""Private mount namespaces, where tests fill small disks, make them read-only, or have tracepoints listed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from cyx.probes import system_calls


def can_mount() -> bool:
    """Tell whether a private mount namespace can be had."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not can_mount(), reason="no mount namespaces for this user: run as root")


def under_tracefs(command: Sequence[str]) -> list[str]:
    """Return the command as one that sees the list of tracepoints, which is mounted for it alone where it is not."""
    if Path("/sys/kernel/tracing/events").is_dir():
        return list(command)
    mount = 'mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"'
    return ["unshare", "-m", "sh", "-c", mount, "sh", *command]


@cache
def number_of_tracepoint() -> int:
    """Return the number of raw_syscalls/sys_enter; skip where it cannot be had."""
    command = under_tracefs(["cat", "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"tracefs cannot be mounted ({done.stderr.strip()}): run as root")
    reason = system_calls.unavailable(int(done.stdout))
    if reason:
        pytest.skip(reason)
    return int(done.stdout)
