"""The kernel's settings that decide how memory is served."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pytest_memperf.environment.files import huge_page_folders, inside, number, selected, text

_ASLR = {0: "off", 1: "partial", 2: "full"}
_ADDR_NO_RANDOMIZE = 0x0040000  # personality(2)


def collect(root: Path) -> dict[str, Any]:
    """Return the fields of Environment that the kernel's settings make up."""
    memory = root / "sys/kernel/mm"
    thp = memory / "transparent_hugepage"
    balancing = number(root / "proc/sys/kernel/numa_balancing")
    return {
        "kernel": text(root / "proc/sys/kernel/osrelease") or os.uname().release,
        "thp": selected(thp / "enabled"),
        "thp_defrag": selected(thp / "defrag"),
        "thp_sizes": {
            size.name.removeprefix("hugepages-"): setting
            for size in huge_page_folders(thp)
            if (setting := selected(size / "enabled"))
        }
        or None,
        "khugepaged": {
            name: value
            for name in ("defrag", "scan_sleep_millisecs", "pages_to_scan", "max_ptes_none")
            if (value := text(thp / "khugepaged" / name)) is not None
        }
        or None,
        "huge_pages": {
            size.name.removeprefix("hugepages-"): count
            for size in huge_page_folders(memory / "hugepages")
            if (count := number(size / "nr_hugepages")) is not None
        }
        or None,
        "numa_nodes": len(inside(root / "sys/devices/system/node", "node")) or None,
        "numa_balancing": None if balancing is None else balancing > 0,
        "aslr": aslr(root),
    }


def aslr(root: Path) -> str | None:
    """Return whether addresses are random; the process itself can switch that off, whatever the kernel says."""
    personality = text(root / "proc/self/personality")
    try:
        if personality is not None and int(personality, 16) & _ADDR_NO_RANDOMIZE:
            return "off"
    except ValueError:
        pass
    setting = number(root / "proc/sys/kernel/randomize_va_space")
    return None if setting is None else _ASLR.get(setting)
