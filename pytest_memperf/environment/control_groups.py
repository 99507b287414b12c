"""What the control groups of this process still allow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pytest_memperf.environment.files import number, text

_ROOT = Path("/")
_Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes more there may be, and the file that says so."""

    left: int
    limit: Path


def memory(root: Path = _ROOT, wanted: int = sys.maxsize) -> Room | None:
    """Return the room for memory in the tightest group; None without a limit.

    Cached files make way. They are counted, which may take the kernel a while, where so much is not left without them.
    """
    files, older = ("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")
    return _tightest("memory", [files], [older], root, wanted)


def huge_pages(page_size: int, root: Path = _ROOT) -> Room | None:
    """Return the room for reserved huge pages of a size in the tightest group; None without a limit."""
    names = f"hugetlb.{_size_name(page_size)}", f"hugetlb.{_size_name(page_size)}.rsvd"
    return _tightest(
        "hugetlb",
        [(f"{name}.max", f"{name}.current") for name in names],
        [(f"{name}.limit_in_bytes", f"{name}.usage_in_bytes") for name in names],
        root,
    )


def _size_name(size: int) -> str:
    for unit, name in ((2**30, "GB"), (2**20, "MB")):
        if size >= unit:
            return f"{size // unit}{name}"
    return f"{size // 1024}KB"


def _tightest(
    controller: str, files: _Pairs, files_of_version_1: _Pairs, root: Path, wanted: int | None = None
) -> Room | None:
    """Return the least room of the groups that this process is in; each file of a limit has one of what is used."""
    rooms = []
    for controllers, groups in hierarchies(root) or ():
        if controllers is not None and controller not in controllers:
            continue
        for limit, usage in files if controllers is None else files_of_version_1:
            rooms += [room for group in groups for room in _room(group, limit, usage, wanted)]
    return min(rooms, key=lambda room: room.left, default=None)


def _room(group: Path, limit: str, usage: str, wanted: int | None) -> Iterator[Room]:
    most = number(group / limit)  # "max" is no number
    if most is None or most >= 2**62:
        return
    used = number(group / usage)
    if used is not None:
        left = most - used
        if wanted is not None and left < wanted:
            left += _reclaimable(group)
        yield Room(max(0, left), group / limit)


def _reclaimable(group: Path) -> int:
    figures = dict(line.split(" ", 1) for line in (text(group / "memory.stat") or "").splitlines() if " " in line)
    prefix = "total_" if "total_inactive_file" in figures else ""
    names = (f"{prefix}inactive_file", f"{prefix}active_file")
    return sum(int(figures.get(name, 0)) for name in names)


def hierarchies(root: Path) -> list[tuple[frozenset[str] | None, list[Path]]] | None:
    """Return the hierarchies that this process is in; None where there is nothing to read.

    Each has its controllers (None for all of them: the one of version 2) and this process's groups, from its own up; a
    container sees its own as the top.
    """
    told = text(root / "proc/self/cgroup")
    return None if told is None else _parsed(told, root)


@lru_cache
def _parsed(told: str, root: Path) -> list[tuple[frozenset[str] | None, list[Path]]]:
    found: list[tuple[frozenset[str] | None, list[Path]]] = []
    for line in told.splitlines():
        number_of_tree, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        top = root / "sys/fs/cgroup"
        if number_of_tree == "0":
            top = top if (top / "cgroup.controllers").exists() else top / "unified"
        else:
            top = top / controllers
        groups = [top / path.strip("/")]
        while groups[-1] != top:
            groups.append(groups[-1].parent)
        found.append((None if number_of_tree == "0" else frozenset(controllers.split(",")), groups))
    return found
