"""Small text files: reading those of /proc and /sys, any of which may be missing, and writing our own."""

from __future__ import annotations

import os
import re
from pathlib import Path

_AT_ONCE = 64 * 1024


def text(path: Path) -> str | None:
    """Return the file's text without the blanks around it; None where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # a fixture reads a dozen: a third of the time of Path.read_text
    except OSError:
        return None
    try:
        told = b""
        while more := os.read(fd, _AT_ONCE):
            told += more
    except OSError:
        return None
    finally:
        os.close(fd)
    return told.decode(errors="replace").strip()


def number(path: Path) -> int | None:
    """Return the whole number in the file; None where there is none."""
    found = text(path)
    return int(found) if found is not None and re.fullmatch(r"-?[0-9]+", found) else None


def selected(path: Path) -> str | None:
    """Return the word in brackets, as in ``always [madvise] never``; None where there is none."""
    match = re.search(r"\[([^\]]+)\]", text(path) or "")
    return match[1] if match else None


def field(path: Path, name: str) -> str | None:
    """Return the value of the first line ``name : value``; None where there is none."""
    match = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text(path) or "", re.MULTILINE)
    return match[1].strip() if match else None


def huge_page_folders(path: Path) -> list[Path]:
    """Return the folders of the sizes of huge page, ``hugepages-2048kB`` and so on, the smallest first."""
    return sorted(inside(path, "hugepages-"), key=lambda size: (len(size.name), size.name))


def inside(path: Path, beginning: str = "", *, ending: str = "") -> list[Path]:
    """Return what the folder holds whose names begin and end so, sorted; nothing where it cannot be read."""
    try:
        names = os.listdir(path)  # a fifth of the time of Path.glob, and fixtures look into several
    except OSError:
        return []
    return sorted(path / name for name in names if name.startswith(beginning) and name.endswith(ending))


def pools_by_node(root: Path, pool: str) -> list[Path]:
    """Return the folder of this pool of huge pages on each NUMA node that has one, ``hugepages-2048kB`` for example."""
    nodes = inside(root / "sys/devices/system/node", "node")
    return [found for node in nodes if (found := node / "hugepages" / pool).is_dir()]


def write_whole(path: Path, content: str) -> None:
    """Write the file whole or not at all: whoever is killed at that leaves but a file that ends in .new."""
    new = path.with_suffix(".new")
    new.write_text(content)
    new.replace(path)
