"""Where each page of a range is, from /proc/self/pagemap (its ioctl on Linux 6.7 and newer), and a picture of it."""

from __future__ import annotations

import array
import fcntl
import mmap
import os
import struct
from collections.abc import Iterator

from cyx import mappings

NOWHERE, CACHED, SWAPPED, RESIDENT, HUGE = b".os#H"
LEGEND = "# resident   H on a huge page   + some of it   s swapped   o cached, not mapped   . nowhere"

_SCAN = 0xC0606610  # PAGEMAP_SCAN of linux/fs.h
_ARGUMENT = struct.Struct("12Q")
_ROOM = 512  # ranges for each call
_IS_PRESENT, _IS_SWAPPED, _IS_HUGE = 1 << 3, 1 << 4, 1 << 6
_BIT_PRESENT, _BIT_SWAPPED = 1 << 63, 1 << 62
_WIDTH, _ROWS = 64, 32


def huge_coverage(start: int, end: int) -> float:
    """Return the share of the resident bytes that is on huge pages; 0.0 where none is resident."""
    resident = huge = 0
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            for first, last, state in _scanned(file.fileno(), start, end):
                resident += last - first if state != SWAPPED else 0
                huge += last - first if state == HUGE else 0
    except OSError:  # before Linux 6.7
        return mappings.usage(start, end).huge_coverage
    return huge / resident if resident else 0.0


def states(start: int, end: int) -> bytearray:
    """Return one of the letters above for each page; before Linux 6.7 huge pages are not told from others."""
    try:
        return by_scan(start, end)
    except OSError:
        return by_entries(start, end)


def by_scan(start: int, end: int) -> bytearray:
    """Return the states as PAGEMAP_SCAN tells them, range by range. OSError before Linux 6.7."""
    found = bytearray([NOWHERE]) * ((end - start) // mmap.PAGESIZE)
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        for first, last, state in _scanned(file.fileno(), start, end):
            pages = (last - first) // mmap.PAGESIZE
            place = (first - start) // mmap.PAGESIZE
            found[place : place + pages] = bytes([state]) * pages
    return found


def by_entries(start: int, end: int) -> bytearray:
    """Return the states as the entries of the file tell them, page by page."""
    pages = (end - start) // mmap.PAGESIZE
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        entries = array.array("Q", os.pread(file.fileno(), pages * 8, start // mmap.PAGESIZE * 8))
    return bytearray(
        RESIDENT if entry & _BIT_PRESENT else SWAPPED if entry & _BIT_SWAPPED else NOWHERE for entry in entries
    )


def _scanned(fd: int, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the ranges that are somewhere, each with its state."""
    regions = array.array("Q", bytes(_ROOM * 3 * 8))
    somewhere = _IS_PRESENT | _IS_SWAPPED
    while start < end:
        room = regions.buffer_info()[0], _ROOM
        wanted = 0, 0, 0, somewhere, somewhere | _IS_HUGE  # any number of pages, of any of these categories
        argument = bytearray(_ARGUMENT.pack(_ARGUMENT.size, 0, start, end, 0, *room, *wanted))
        count = fcntl.ioctl(fd, _SCAN, argument)
        for place in range(0, count * 3, 3):
            first, last, categories = regions[place : place + 3]
            state = SWAPPED if categories & _IS_SWAPPED else HUGE if categories & _IS_HUGE else RESIDENT
            yield first, last, state
        start = _ARGUMENT.unpack(argument)[4]  # where the walk ended


def picture(pages: bytearray, title: str) -> str:
    """Return the states as lines of characters, each of them for one page or for more of them, a power of two."""
    each = 1
    while len(pages) > each * _WIDTH * _ROWS:
        each *= 2
    cells = "".join(_cell(pages[place : place + each]) for place in range(0, len(pages), each))
    rows = [cells[place : place + _WIDTH] for place in range(0, len(cells), _WIDTH)]
    offsets = [f"{row * _WIDTH * each * mmap.PAGESIZE:#x}" for row in range(len(rows))]
    width = max(map(len, offsets))
    lines = [f"{offset:>{width}} {row}" for offset, row in zip(offsets, rows, strict=True)]
    scale = f"each character is {each * mmap.PAGESIZE // 1024} KiB"
    return "\n".join([f"{title}; {scale}", *lines, LEGEND])


def _cell(pages: bytearray) -> str:
    kinds = set(pages)
    return chr(pages[0]) if len(kinds) == 1 else "+"
