"""What a process holds, read between calls in a way that keeps nothing: memory, blocks, objects, files, threads."""

from __future__ import annotations

import ctypes
import gc
import math
import mmap
import os
import re
import resource
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass

from cyx import malloc_blocks, settling
from pytest_memperf.environment import control_groups
from pytest_memperf.environment import room as environment_room
from pytest_memperf.environment.process import serving
from pytest_memperf.malloc import MALLOCS, purging
from pytest_memperf.metrics.leftovers import LiveObjects, OpenFiles, Threads
from pytest_memperf.model.units import BYTES, COUNT, Unit

LARGEST_GROWTH = 256 << 20
LARGEST_MAPPED = 4 << 30
MOST_FILES = 4096
MOST_THREADS = 512
"""What no call may leave more of in all, whatever room there is."""
MOST_READINGS = 64
"""Until one is as the one before."""
THREAD_ENDS = 0.002
"""Seconds in which the kernel removes a thread that has been joined."""


@dataclass(frozen=True, slots=True)
class Witness:
    """One figure that a leak would have grow."""

    name: str
    metric: str
    """The keyword that limits it, without its ``max_``."""
    unit: Unit
    floor: int
    """What comes and goes with the caches of the interpreter and of malloc, in the unit."""
    finest: float
    """The smallest growth per call that is told from that."""
    of_blocks: bool = False
    """Whether the sizes of blocks say what it is made of."""
    lump: float = math.inf
    """From where on growth by few large lumps, as of a table that doubles, is a growth."""


WITNESSES = (
    Witness("resident memory", "retained_rss", BYTES, 128 << 10, 1024.0),
    Witness("mapped addresses", "retained_rss", BYTES, 16 << 10, 1.0),
    Witness("heap of malloc", "retained_rss", BYTES, 4096, 1.0, lump=64 << 10),
    Witness("blocks of Python and malloc", "live_blocks", COUNT, 32, 0.02, of_blocks=True),
    Witness("blocks of Python objects", "live_objects", COUNT, 16, 0.02, of_blocks=True),
    Witness("objects known to gc", "live_objects", COUNT, 8, 0.02),
    Witness("open files", "open_files", COUNT, 0, 0.02),
    Witness("threads", "threads", COUNT, 0, 0.02),
)
"""In the order in which ``Retained`` reads them."""
RESIDENT, MAPPED, HEAP, BLOCKS, OBJECTS, CONTAINERS, FILES, THREADS = range(len(WITNESSES))
METRICS = tuple(dict.fromkeys(witness.metric for witness in WITNESSES))


class Retained:
    """Reads all witnesses of this process, a fork that ends with the trial."""

    def __init__(self) -> None:
        self.values = array("q", [0] * len(WITNESSES))
        """As last read."""
        self.reasons: dict[int, str] = {}
        """Why a witness cannot be read."""
        if LiveObjects.count():  # else there is no pymalloc, whose free blocks could be taken
            settling.watch_arenas()
        gc.collect()
        gc.freeze()  # what was there before is not looked through each time
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)
        self._malloc = MALLOCS.get(serving())
        self._program = ctypes.CDLL(None)
        self._purge = purging(self._malloc) if self._malloc else None
        self._probe_what_is_there()
        settling.settle()
        # The first readings fill caches of their own: those of ctypes.
        for _ in range(MOST_READINGS):
            before = self.values[BLOCKS], self.values[OBJECTS]
            self.read()
            if before == (self.values[BLOCKS], self.values[OBJECTS]):
                break

    def read(self) -> None:
        """Collect the garbage where the collector is on, give free memory back, and read."""
        values = self.values
        if gc.isenabled():  # where it is off, garbage is what the process keeps
            gc.collect()
        values[CONTAINERS] = len(gc.get_objects())
        if self._purge is None:
            settling.trim()
        else:
            self._purge()
        values[FILES] = OpenFiles.count()
        threads = Threads.count()
        if threads > values[THREADS]:
            time.sleep(THREAD_ENDS)
            threads = Threads.count()
        values[THREADS] = threads
        values[OBJECTS] = LiveObjects.count()
        values[BLOCKS] = values[OBJECTS] + malloc_blocks.count()
        if HEAP not in self.reasons:
            values[HEAP] = self._heap()
        mapped, resident = os.pread(self._statm, 100, 0).split()[:2]
        values[MAPPED], values[RESIDENT] = int(mapped) * mmap.PAGESIZE, int(resident) * mmap.PAGESIZE

    def _heap(self) -> int:
        if self._purge is None:
            allocated = malloc_blocks.allocated()  # without ctypes, whose calls leave objects behind
            if allocated >= 0:
                return allocated
        told = self._malloc.heap(self._program).allocated if self._malloc else "nobody reads malloc's statistics here"
        if isinstance(told, str):
            self.reasons[HEAP] = told
            return 0
        return told

    def _probe_what_is_there(self) -> None:
        """Find out what this process cannot tell."""
        try:
            self._heap()
        except (OSError, AttributeError) as error:
            self.reasons[HEAP] = str(error)
        if not LiveObjects.count():
            self.reasons[OBJECTS] = "PYTHONMALLOC sets another allocator than pymalloc, whose blocks nobody counts"
        if malloc_blocks.count() < 0:
            self.reasons[BLOCKS] = "only glibc's malloc, 2.33 or newer, lets its blocks be counted"
        elif not malloc_blocks.on_main_heap():
            self.reasons[BLOCKS] = (
                "glibc serves this thread from an arena whose blocks nobody can count, as after a malloc that had no "
                'memory: use isolation="process"'
            )


def room() -> dict[int, int]:
    """Return by how much each witness may grow before more calls would do harm to the machine or end the process."""
    group = control_groups.memory()
    available = min(environment_room.available() or sys.maxsize, group.left if group else sys.maxsize)
    memory = min(LARGEST_GROWTH, available // 4)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 1 << 16 if files == resource.RLIM_INFINITY else files
    return {
        RESIDENT: memory,
        MAPPED: LARGEST_MAPPED,
        HEAP: memory,
        FILES: max(16, min(MOST_FILES, (files - OpenFiles.count()) // 2)),
        THREADS: MOST_THREADS,
    }


def mappings() -> int:
    """Return the number of mappings of this process."""
    with open("/proc/self/maps", "rb") as file:
        return file.read().count(b"\n")


def size_classes() -> dict[str, int]:
    """Return the number of blocks in use of each size, of Python's allocator and of malloc, as far as they tell."""
    found = {
        f"malloc's blocks of {size:,} B with their headers": count for size, count in malloc_blocks.by_size().items()
    }
    return {**found, **{f"Python's blocks of {size} B": count for size, count in _pymalloc().items()}}


def _pymalloc() -> dict[int, int]:
    """Return the blocks in use of each size, as ``sys._debugmallocstats`` writes them to standard error."""
    told = _written_to_standard_error(getattr(sys, "_debugmallocstats", lambda: None))
    # class, size, pools, blocks in use, free blocks
    rows = re.findall(r"^ *\d+ +(\d+) +\d+ +(\d+) +\d+$", told, re.MULTILINE)
    return {int(size): int(blocks) for size, blocks in rows}


def _written_to_standard_error(write: Callable[[], object]) -> str:
    """Return what a function of C writes there; what other threads write meanwhile is lost."""
    try:
        kept, file = os.dup(2), os.memfd_create("stderr")
    except OSError:
        return ""
    try:
        os.dup2(file, 2)
        try:
            write()
        finally:
            os.dup2(kept, 2)
        return os.pread(file, os.fstat(file).st_size, 0).decode()
    finally:
        os.close(kept)
        os.close(file)
