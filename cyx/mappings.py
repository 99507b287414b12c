"""What the kernel says of a range of this process's memory; see proc_pid_smaps(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cyx.probes import smaps

_HEAD = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) ")
_HUGETLB = ("Shared_Hugetlb", "Private_Hugetlb")
_HUGE = ("AnonHugePages", "ShmemPmdMapped", "FilePmdMapped", *_HUGETLB)


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes of a range by what they are."""

    resident: int
    anonymous: int
    """Of these, what is in no file: a file's pages that were written in a private mapping are."""
    huge: int
    dirty: int
    swapped: int
    locked: int
    flags: frozenset[str]
    """The flags of VmFlags that hold for all of the range."""

    @property
    def huge_coverage(self) -> float:
        """The share of the resident bytes that is on huge pages; 0.0 where none is resident."""
        return self.huge / self.resident if self.resident else 0.0


def locked() -> int:
    """Return how many bytes this process has locked, of those that RLIMIT_MEMLOCK allows."""
    with open("/proc/self/status") as status:
        return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmLck:")), 0)


def usage(start: int, end: int) -> Usage:
    """Return what is resident, anonymous, huge, dirty, swapped and locked of the mappings that touch the range.

    Reserved huge pages count as resident, although the kernel leaves them out of ``Rss``. So do huge pages that it
    does not see because it balances them between nodes, see ``cyx.probes.smaps.hidden``.
    """
    figures: dict[str, int] = {}
    flags: list[frozenset[str]] = []
    first = end
    for line in _lines(start, end):
        if head := _HEAD.match(line):
            first = min(first, int(head[1], 16))
            continue
        name, _, rest = line.decode().partition(":")
        if name == "VmFlags":
            flags.append(frozenset(rest.split()))
        elif rest.endswith(" kB\n"):
            figures[name] = figures.get(name, 0) + int(rest[:-3]) * 1024

    def total(*names: str) -> int:
        return sum(figures.get(name, 0) for name in names)

    hidden = smaps.hidden(total("Rss"), start=first, end=end)
    of_file = any("sh" in each for each in flags)
    return Usage(
        resident=total("Rss", *_HUGETLB) + hidden,
        anonymous=total("Anonymous") + (0 if of_file else hidden),
        huge=total(*_HUGE) + hidden,
        dirty=total("Shared_Dirty", "Private_Dirty"),
        swapped=total("Swap"),
        locked=total("Locked"),
        flags=frozenset.intersection(*flags) if flags else frozenset(),
    )


def _lines(start: int, end: int) -> Iterator[bytes]:
    """Yield the lines of the mappings that touch the range, the heads too; they are sorted by address."""
    inside = False
    with open("/proc/self/smaps", "rb") as file:
        for line in file:
            head = _HEAD.match(line)
            if head is None:
                if inside:
                    yield line
                continue
            if int(head[1], 16) >= end:
                return
            inside = int(head[2], 16) > start
            if inside:
                yield line
