"""Small text files: reading those of /proc and /sys, any of which may be missing, and writing our own."""

from __future__ import annotations

import re
from pathlib import Path


def text(path: Path) -> str | None:
    """Return the file's text without the blanks around it; None where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:  # a fixture reads a dozen: half the time of Path.read_text
            return file.read().decode(errors="replace").strip()
    except OSError:
        return None


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
    return sorted(folders(path, "hugepages-*"), key=lambda size: (len(size.name), size.name))


def folders(path: Path, pattern: str) -> list[Path]:
    """Return what the folder holds under this pattern, sorted; nothing where it cannot be read."""
    try:
        return sorted(path.glob(pattern))
    except OSError:
        return []


def write_whole(path: Path, content: str) -> None:
    """Write the file whole or not at all: whoever is killed at that leaves but a file that ends in .new."""
    new = path.with_suffix(".new")
    new.write_text(content)
    new.replace(path)
