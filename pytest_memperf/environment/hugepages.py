"""Huge pages on this machine: pools, transparent ones, khugepaged, and how much of free memory is in one piece."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cyx import hugepages
from pytest_memperf.environment import control_groups
from pytest_memperf.environment.files import field, huge_page_folders, number, pools_by_node, selected, text
from pytest_memperf.model.units import format_size

_ROOT = Path("/")
_SETTINGS = ("enabled", "defrag", "shmem_enabled")
_KHUGEPAGED = (
    "defrag", "scan_sleep_millisecs", "alloc_sleep_millisecs", "pages_to_scan", "max_ptes_none", "max_ptes_swap",
    "max_ptes_shared", "pages_collapsed", "full_scans",
)  # fmt: skip
_USED = ("AnonHugePages", "ShmemHugePages", "FileHugePages")
_COUNTERS = (
    "thp_fault_alloc", "thp_fault_fallback", "thp_collapse_alloc", "thp_collapse_alloc_failed", "thp_split_page",
    "compact_stall", "compact_fail", "compact_success", "htlb_buddy_alloc_success", "htlb_buddy_alloc_fail",
)  # fmt: skip


def status(root: Path = _ROOT) -> dict[str, Any]:
    """Return all of it as plain data; what cannot be read is None or left out.

    Args:
        root: where /proc and /sys are found.
    """
    thp = root / "sys/kernel/mm/transparent_hugepage"
    return {
        "usual": hugepages.default_size(root) if hugepages.sizes(root) else None,
        "pools": [_pool(size, root) for size in hugepages.sizes(root)],
        "mounts": mounts(root),
        "transparent": {name: selected(thp / name) for name in _SETTINGS},
        "sizes": {path.name.removeprefix("hugepages-"): selected(path / "enabled") for path in huge_page_folders(thp)},
        "khugepaged": {name: number(thp / "khugepaged" / name) for name in _KHUGEPAGED},
        "used": {name: field(root / "proc/meminfo", name) for name in _USED},
        "counters": _counters(root),
        "free": _free_pieces(root),
    }


def _pool(size: int, root: Path) -> dict[str, Any]:
    pool = hugepages.pool(size, root)
    room = control_groups.huge_pages(size, root)
    nodes = pools_by_node(root, f"hugepages-{size // 1024}kB")
    return {
        **asdict(pool),
        "available": pool.available,
        "group_leaves": None if room is None else room.left // size,
        "nodes": {path.parents[1].name.removeprefix("node"): number(path / "nr_hugepages") for path in nodes},
    }


def mounts(root: Path = _ROOT) -> dict[str, str]:
    """Return the folders where hugetlbfs is mounted, each with its options."""
    rows = [line.split() for line in (text(root / "proc/mounts") or "").splitlines()]
    return {_unescaped(row[1]): row[3] for row in rows if len(row) > 3 and row[2] == "hugetlbfs"}


def _unescaped(path: str) -> str:
    """Return the path without the octal numbers that the kernel writes for blanks and backslashes."""
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _counters(root: Path) -> dict[str, int]:
    rows = (line.split() for line in (text(root / "proc/vmstat") or "").splitlines())
    figures = {row[0]: int(row[1]) for row in rows if len(row) == 2}
    return {name: figures[name] for name in _COUNTERS if name in figures}


def _free_pieces(root: Path) -> list[dict[str, Any]]:
    """Return for each zone what is free, and how many huge pages fit into its free blocks as they are."""
    page = os.sysconf("SC_PAGESIZE")
    huge = hugepages.thp_size(root)
    rows = []
    for line in (text(root / "proc/buddyinfo") or "").splitlines():
        head, _, rest = line.partition(", zone")
        zone, *counts = rest.split()
        blocks = [(int(count), page << order) for order, count in enumerate(counts)]
        rows.append(
            {
                "node": head.removeprefix("Node").strip(),
                "zone": zone,
                "free": sum(count * size for count, size in blocks),
                "huge_pages": sum(count * (size // huge) for count, size in blocks),
                "blocks": [count for count, _ in blocks],
            }
        )
    return rows


def missing(pages: int, page_size: int) -> int:
    """Return how many more it takes to have so many pages; one at least, for others may take what is there."""
    return max(1, pages - hugepages.pool(page_size).available)


def reserve_command(pages: int, page_size: int) -> str:
    """Return the command that reserves so many more pages."""
    command = f"memperf hugepages reserve {pages}"
    if page_size == hugepages.default_size():
        return command
    return f"{command} --page-size={format_size(page_size).replace(' ', '')}"
