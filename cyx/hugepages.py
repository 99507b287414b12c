"""The sizes of huge page that the kernel has, and how many are reserved (its hugetlbpage.rst says what they mean)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_POOLS = "sys/kernel/mm/hugepages"
_ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Pool:
    """The reserved huge pages of one size."""

    page_size: int
    total: int
    """With those in surplus."""
    free: int
    reserved: int
    """Free, but promised to a mapping that has not touched them yet."""
    surplus: int
    """Made beyond what is kept, for as long as they are used."""
    overcommit: int
    """How many may be made in surplus."""

    @property
    def available(self) -> int:
        """How many a new mapping can have without taking from anyone."""
        return self.free - self.reserved

    @property
    def kept(self) -> int:
        """How many are kept, used or not: what is written to nr_hugepages."""
        return self.total - self.surplus


def folder(page_size: int, root: Path = _ROOT) -> Path:
    """Return where the kernel shows the pool of this size."""
    return root / _POOLS / f"hugepages-{page_size // 1024}kB"


def sizes(root: Path = _ROOT) -> tuple[int, ...]:
    """Return the sizes in bytes, the smallest first; nothing on a kernel without reserved huge pages."""
    try:
        names = [path.name for path in (root / _POOLS).iterdir()]
    except OSError:
        return ()
    matches = (re.fullmatch(r"hugepages-(\d+)kB", name) for name in names)
    return tuple(sorted(int(match[1]) * 1024 for match in matches if match))


def default_size(root: Path = _ROOT) -> int:
    """Return the size that a mapping gets that names none."""
    match = re.search(r"^Hugepagesize:\s*(\d+) kB", (root / "proc/meminfo").read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match else min(sizes(root))


def pool(page_size: int, root: Path = _ROOT) -> Pool:
    """Return the state of a pool. OSError where there is none of this size."""
    names = ("nr_hugepages", "free_hugepages", "resv_hugepages", "surplus_hugepages", "nr_overcommit_hugepages")
    return Pool(page_size, *(int((folder(page_size, root) / name).read_text()) for name in names))


def thp_size(root: Path = _ROOT) -> int:
    """Return the bytes of a transparent huge page; 2 MiB where the kernel does not say, having none."""
    try:
        return int((root / "sys/kernel/mm/transparent_hugepage/hpage_pmd_size").read_text())
    except (OSError, ValueError):
        return 2 * 1024 * 1024


def thp_setting(root: Path = _ROOT) -> str | None:
    """Return when transparent huge pages are given: ``always``, ``madvise``, ``never``; None where there are none."""
    try:
        with open(root / "sys/kernel/mm/transparent_hugepage/enabled", "rb", buffering=0) as file:
            match = re.search(rb"\[(\w+)\]", file.read())
    except OSError:
        return None
    return match[1].decode() if match else None


def shortage(size: int, page_size: int) -> str:
    """Return in words that a mapping of this size does not find its huge pages."""
    needed = -(-size // page_size)
    return f"{needed} huge pages of {page_size // 1024} kB are needed, {pool(page_size).available} are to be had"
