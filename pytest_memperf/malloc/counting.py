"""The library of ours that counts what goes through malloc, whichever library serves it (cyx/preload.c)."""

from __future__ import annotations

import ctypes
import importlib.machinery
import os
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cyx
from pytest_memperf.environment import executable
from pytest_memperf.malloc.preload import VARIABLE

FILE = "MEMPERF_MALLOC_COUNTS"
"""The environment variable that names the file in which each process has a place."""
_CLASSES = 48
_NUMBERS = ("format", "process", "frees", "reallocs", "requested", "live", "peak")
_AT_THE_END = ("told", "allocated", "active")


class _Place(ctypes.Structure):
    """preload_counts of cyx/preload.h."""

    _fields_ = (
        *((name, ctypes.c_long) for name in _NUMBERS),
        ("sizes", ctypes.c_long * _CLASSES),
        *((name, ctypes.c_long) for name in _AT_THE_END),
    )


_FORMAT = 1
_PLACES = 4096
_HEAD = struct.Struct("q56x")


@dataclass(frozen=True, slots=True)
class Counts:
    """What the processes of one command took through malloc, in sum but for the peak."""

    processes: int
    mallocs: int
    frees: int
    reallocs: int
    requested: int
    """Bytes."""
    peak: int
    """Bytes of blocks held at once, by their usable sizes, of the process that held the most."""
    fragmentation: float | None
    """Of the heap of that process when it ended; None where nobody can tell."""
    sizes: Mapping[int, int]
    """How many blocks of each size: up to so many bytes, and more than half of that."""


@cache
def library() -> Path:
    """Return the library's file."""
    return Path(cyx.__file__).with_name(f"preload{importlib.machinery.EXTENSION_SUFFIXES[0]}")


def lack() -> str | None:
    """Return why nothing can be counted in a process that is started here, with the mend; None where it can."""
    hindrance = executable.preloading_hindered("/proc/self/exe")
    if hindrance:
        return f"this interpreter {hindrance}"
    if not library().is_file():
        return f"{library()} is not there: install pytest-memperf again"
    if re.search("[ :]", str(library())):  # LD_PRELOAD would take it for two
        return f"{library().parent} has a blank or a colon in its name: install pytest-memperf in another folder"
    return None


def environment_counted(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process whose malloc is to be counted: the library stands before all others."""
    others = environment.get(VARIABLE, "")
    return {**environment, VARIABLE: f"{library()}:{others}" if others else str(library())}


@contextmanager
def counts_of_processes() -> Iterator[CountsFile]:
    """Return a file for the counts of a command's processes. It is on no disk, and goes with this process."""
    fd = os.memfd_create("memperf-malloc-counts", os.MFD_CLOEXEC)
    with open(fd, "r+b", buffering=0) as file:
        file.truncate(_HEAD.size + _PLACES * ctypes.sizeof(_Place))
        yield CountsFile(fd)


class CountsFile:
    """preload_file of cyx/preload.h."""

    def __init__(self, fd: int) -> None:
        """Take the file of this descriptor."""
        self._fd = fd
        self.path = Path(f"/proc/{os.getpid()}/fd/{fd}")

    def read(self) -> Counts | str:
        """Return what all processes together took, or why that is not known."""
        content = os.pread(self._fd, _HEAD.size + _PLACES * ctypes.sizeof(_Place), 0)
        (taken,) = _HEAD.unpack_from(content)
        if not taken:
            return "no process of the command loaded the library that counts: it removes LD_PRELOAD"
        if taken > _PLACES:
            return f"the command had {taken:,} processes, and there is room for {_PLACES:,}: count a smaller one"
        places = [
            _Place.from_buffer_copy(content, _HEAD.size + number * ctypes.sizeof(_Place)) for number in range(taken)
        ]
        if any(place.format != _FORMAT for place in places):
            return "a process was killed as it began, or loaded another version of the library: run it again"
        largest = max(places, key=lambda place: place.peak)
        sizes = {1 << bits: sum(place.sizes[bits] for place in places) for bits in range(_CLASSES)}
        return Counts(
            processes=len({place.process for place in places}),
            mallocs=sum(sizes.values()),
            frees=sum(place.frees for place in places),
            reallocs=sum(place.reallocs for place in places),
            requested=sum(place.requested for place in places),
            peak=largest.peak,
            fragmentation=1 - largest.allocated / largest.active if largest.told and largest.active else None,
            sizes={size: number for size, number in sizes.items() if number},
        )
