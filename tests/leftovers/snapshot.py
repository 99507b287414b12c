"""What could be left on a machine by those who use the fixtures, or test them; by the standard library alone."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

NODES = Path("/sys/devices/system/node")
POOLS = Path("/sys/kernel/mm/hugepages")
TRANSPARENT = Path("/sys/kernel/mm/transparent_hugepage")
LEDGER = Path("/run/pytest-memperf")
LISTED = Path(f"/tmp/pytest-memperf-{os.geteuid()}")
MARK = "MEMPERF_LEFTOVERS"
"""The variable by which processes are known that come from a command, however they were started."""
PATIENCE = 120.0
"""Seconds for what others on this machine do at the same time, and for processes that are just ending."""

State = dict[str, str]


def snapshot(mark: str, folders: Iterable[Path]) -> State:
    """Return everything that is looked at, each with its value.

    Args:
        mark: the value of MARK of the processes to look for.
        folders: where files of data may lie, at any depth.
    """
    state: State = {}
    for file in (
        *NODES.glob("node*/hugepages/*/nr_hugepages"),
        *POOLS.glob("*/nr_*"),
        *POOLS.glob("*/[rs]*_hugepages"),
    ):
        state[str(file)] = _text(file)
    for file in (*TRANSPARENT.glob("*enabled"), *TRANSPARENT.glob("hugepages-*/*enabled"), TRANSPARENT / "defrag"):
        state[str(file)] = _text(file)
    for line in _text(Path("/proc/self/mounts")).splitlines():
        state[f"mount {line}"] = "there"
    for file in Path("/sys/block").glob("loop*/loop/backing_file"):
        state[f"loop device {file.parts[3]}"] = _text(file)
    for line in _text(Path("/proc/sysvipc/shm")).splitlines()[1:]:
        state["shared memory " + " ".join(line.split()[:2])] = "there"
    for folder in (LEDGER, LISTED, Path("/dev/shm")):
        for file in folder.rglob("*") if folder.is_dir() else ():
            if file.name != "lock" and not file.is_dir():
                state[str(file)] = "there"
    for top in folders:
        for place, _, files in os.walk(top):  # which passes over what another session of pytest deletes meanwhile
            state |= {os.path.join(place, name): "there" for name in files if name.startswith("mapped_file_")}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                state[f"process {process.name}"] = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    state["processors to run on"] = str(sorted(os.sched_getaffinity(0)))
    state["policy of memory"] = _text(Path("/proc/self/numa_maps")).split("\n")[0].partition(" ")[2].partition(" ")[0]
    return state


def differences(before: State, now: Callable[[], State]) -> list[str]:
    """Return what is there now and was not before, or is otherwise; empty as soon as nothing is.

    A file that is gone is none: pytest deletes the folders of earlier sessions.
    """
    end = time.monotonic() + PATIENCE
    while True:
        after = now()
        gone = {name for name in before if name.startswith("/") and name not in after}
        names = sorted(name for name in (before.keys() | after.keys()) - gone if before.get(name) != after.get(name))
        if not names or time.monotonic() > end:
            return [f"{name}: {before.get(name, 'not there')} -> {after.get(name, 'not there')}" for name in names]
        time.sleep(0.2)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
