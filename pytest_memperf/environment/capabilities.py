"""What the kernel lets this process do, each really tried: the answer is a reason with its mend, or None for yes."""

from __future__ import annotations

import errno
import mmap
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cyx import page_cache, process
from cyx.probes import perf
from pytest_memperf.environment.files import inside, number, selected
from pytest_memperf.environment.numa import placement_unavailable
from pytest_memperf.environment.tracefs import counting_unavailable

_MADV_POPULATE_WRITE = 23
_HOST_ONLY = "on the host, as root: "


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that the kernel allows or not."""

    name: str
    serves: str
    """What needs it."""
    missing: Callable[[], str | None]
    """Return why it cannot be had, with the mend; None where it can."""


def fixed_addresses() -> str | None:
    """Switch address randomisation off and back on, by personality(2)."""
    try:
        former = process.set_personality(process.fixed_addresses(process.personality_flags()))
    except OSError as error:
        return f"personality(2) is forbidden ({error.strerror}): allow it in the container's seccomp profile"
    process.set_personality(former)
    return None


def reset_of_the_mark() -> str | None:
    """Reset the high-water mark of resident memory, as every window does."""
    try:
        with open("/proc/self/clear_refs", "wb", buffering=0) as file:
            file.write(b"5")
    except OSError as error:
        return (
            f"/proc/self/clear_refs cannot be written ({error.strerror}): "
            "use a kernel with CONFIG_PROC_PAGE_MONITOR and mount /proc to be written"
        )
    return None


def page_map() -> str | None:
    """Read an entry of /proc/self/pagemap."""
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            if len(file.read(8)) == 8:
                return None
        return "/proc/self/pagemap is empty: use a kernel with CONFIG_PROC_PAGE_MONITOR"
    except OSError as error:
        return (
            f"/proc/self/pagemap cannot be read ({error.strerror}): use a kernel with CONFIG_PROC_PAGE_MONITOR "
            "and mount /proc"
        )


def populate_for_writing() -> str | None:
    """Have the kernel fault a page in, by MADV_POPULATE_WRITE."""
    try:
        with mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
            page.madvise(_MADV_POPULATE_WRITE)
    except OSError as error:
        return f"MADV_POPULATE_WRITE is refused ({error.strerror}): use Linux 5.14 or newer"
    return None


def drop_from_the_page_cache() -> str | None:
    """Write a file in the folder for temporary files and drop it from the page cache."""
    try:
        with tempfile.TemporaryFile() as file:
            file.write(bytes(16 * mmap.PAGESIZE))
            file.flush()
            page_cache.drop(file.fileno())
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EBUSY):
            return f"files in {tempfile.gettempdir()} stay in memory: set TMPDIR to a folder on a disk"
        return f"no temporary file can be made ({error.strerror}): set TMPDIR to a folder on a disk"
    return None


def transparent_huge_pages() -> str | None:
    """Look at the kernel's setting of transparent huge pages."""
    setting = selected(Path("/sys/kernel/mm/transparent_hugepage/enabled"))
    if setting is None:
        return "the kernel has no transparent huge pages: use one with CONFIG_TRANSPARENT_HUGEPAGE"
    if setting == "never":
        return f"they are off: {_HOST_ONLY}echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
    return None


def reserved_huge_pages() -> str | None:
    """Look for huge pages that are reserved and free."""
    sizes = inside(Path("/sys/kernel/mm/hugepages"), "hugepages-")
    if not sizes:
        return "the kernel has no huge pages: use one with CONFIG_HUGETLBFS"
    if not any(number(size / "free_hugepages") for size in sizes):
        return f"none is free: {_HOST_ONLY}memperf hugepages reserve 64"
    return None


CAPABILITIES: tuple[Capability, ...] = (
    Capability("high-water mark", "peaks of resident memory", reset_of_the_mark),
    Capability("fixed addresses", "isolation=process", fixed_addresses),
    Capability("page map", "isolation=process", page_map),
    Capability("populate for writing", "isolation=process", populate_for_writing),
    Capability("dropping cached files", "files that are read cold", drop_from_the_page_cache),
    Capability("page cache statistics", "checks of cold and warm files", page_cache.cachestat_unavailable),
    Capability("perf software events", "independent counts of faults", perf.unavailable),
    Capability("perf hardware events", "cycles and cache misses", perf.cycles_unavailable),
    Capability("tracepoints", "counts of system calls", counting_unavailable),
    Capability("transparent huge pages", "tests of huge pages", transparent_huge_pages),
    Capability("reserved huge pages", "tests of huge pages", reserved_huge_pages),
    Capability("NUMA placement", "numa_buffer", placement_unavailable),
)
