"""What the kernel lets this process do, each really tried: the answer is a reason with its mend, or None for yes."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pytest_memperf.environment.files import folders, number, selected, text

# Numbers of system calls that the C library has no function for (asm/unistd.h); 451 is one number everywhere.
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331, "armv7l": 364}
_CACHESTAT = 451
_PERSONALITY_QUERY, _ADDR_NO_RANDOMIZE = 0xFFFFFFFF, 0x0040000
_MADV_POPULATE_WRITE = 23
_HARDWARE, _SOFTWARE = 0, 1
_CPU_CYCLES, _PAGE_FAULTS = 0, 2
_EXCLUDE_KERNEL = 1 << 5 | 1 << 6  # and the hypervisor
_HOST_ONLY = "on the host, as root: "


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that the kernel allows or not."""

    name: str
    serves: str
    """What needs it."""
    missing: Callable[[], str | None]
    """Return why it cannot be had, with the mend; None where it can."""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _os_error() -> str:
    return os.strerror(ctypes.get_errno())


def fixed_addresses() -> str | None:
    """Switch address randomisation off and back on, by personality(2)."""
    libc = _libc()
    libc.personality.argtypes = (ctypes.c_ulong,)
    former = libc.personality(_PERSONALITY_QUERY)
    if former == -1 or libc.personality(former | _ADDR_NO_RANDOMIZE) == -1:
        return f"personality(2) is forbidden ({_os_error()}): allow it in the container's seccomp profile"
    libc.personality(former)
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
    """Write a file in the folder for temporary files, drop it from the page cache, and look whether it is gone."""
    try:
        with tempfile.TemporaryFile() as file:
            size = 16 * mmap.PAGESIZE
            file.write(bytes(size))
            file.flush()
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            left = _pages_in_memory(file.fileno(), size)
    except OSError as error:
        return f"no temporary file can be made ({error.strerror}): set TMPDIR to a folder on a disk"
    if left:
        return f"files in {tempfile.gettempdir()} stay in memory: set TMPDIR to a folder on a disk"
    return None


def _pages_in_memory(descriptor: int, size: int) -> int:
    """Return how many pages of a file are in the page cache, by mincore(2)."""
    libc = _libc()
    libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    with mmap.mmap(descriptor, size) as pages:
        flags = ctypes.create_string_buffer(size // mmap.PAGESIZE)
        start = ctypes.c_char.from_buffer(pages)
        try:
            if libc.mincore(ctypes.addressof(start), size, flags):
                raise OSError(ctypes.get_errno(), _os_error())
        finally:
            del start  # the mapping cannot be closed while something points into it
    return sum(flag & 1 for flag in flags.raw)


def cache_statistics() -> str | None:
    """Ask for the page cache of a file, by cachestat(2)."""
    file = os.memfd_create("memperf")
    try:
        span, answer = struct.pack("QQ", 0, 0), ctypes.create_string_buffer(5 * 8)
        if _libc().syscall(_CACHESTAT, file, span, answer, 0) == 0:
            return None
    finally:
        os.close(file)
    return f"cachestat(2) is refused ({_os_error()}): use Linux 6.5 or newer; mincore serves until then"


def _perf(kind: int, event: int) -> str | None:
    """Return why a counter of this process cannot be opened (perf_event_open(2))."""
    call = _PERF_EVENT_OPEN.get(os.uname().machine)
    if call is None:
        return f"the number of perf_event_open(2) on {os.uname().machine} is not known here"
    attributes = struct.pack("IIQQQQQIIQ", kind, 64, event, 0, 0, 0, _EXCLUDE_KERNEL, 0, 0, 0)
    descriptor = _libc().syscall(call, attributes, 0, -1, -1, 8)
    if descriptor >= 0:
        os.close(descriptor)
        return None
    problem = ctypes.get_errno()
    if problem in (errno.EACCES, errno.EPERM):
        level = text(Path("/proc/sys/kernel/perf_event_paranoid"))
        return (
            f"perf events are forbidden (perf_event_paranoid is {level or 'unknown'}): "
            f"{_HOST_ONLY}sysctl kernel.perf_event_paranoid=2, and allow perf_event_open(2) in a container"
        )
    if problem == errno.ENOENT:
        return "this machine has no such counter, as many virtual machines: use one with a PMU"
    if problem == errno.ENOSYS:
        return "perf_event_open(2) is missing: use a kernel with CONFIG_PERF_EVENTS, allow it in the seccomp profile"
    return f"perf_event_open(2) is refused ({os.strerror(problem)})"


def perf_software() -> str | None:
    """Open a counter of page faults."""
    return _perf(_SOFTWARE, _PAGE_FAULTS)


def perf_hardware() -> str | None:
    """Open a counter of processor cycles."""
    return _perf(_HARDWARE, _CPU_CYCLES)


def tracepoints() -> str | None:
    """Look for the list of tracepoints; it is never mounted here."""
    events = Path("/sys/kernel/tracing/events")
    try:
        if any(events.iterdir()):
            return None
    except PermissionError:
        return f"{events} cannot be read: run as root"
    except OSError:
        pass
    return f"tracefs is not mounted: {_HOST_ONLY}mount -t tracefs tracefs /sys/kernel/tracing"


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
    sizes = folders(Path("/sys/kernel/mm/hugepages"), "hugepages-*")
    if not sizes:
        return "the kernel has no huge pages: use one with CONFIG_HUGETLBFS"
    if not any(number(size / "free_hugepages") for size in sizes):
        return f"none is free: {_HOST_ONLY}echo 64 > {sizes[-1]}/nr_hugepages"
    return None


CAPABILITIES: tuple[Capability, ...] = (
    Capability("high-water mark", "peaks of resident memory", reset_of_the_mark),
    Capability("fixed addresses", "isolation=process", fixed_addresses),
    Capability("page map", "isolation=process", page_map),
    Capability("populate for writing", "isolation=process", populate_for_writing),
    Capability("dropping cached files", "files that are read cold", drop_from_the_page_cache),
    Capability("page cache statistics", "checks of cold and warm files", cache_statistics),
    Capability("perf software events", "independent counts of faults", perf_software),
    Capability("perf hardware events", "cycles and cache misses", perf_hardware),
    Capability("tracepoints", "counts of system calls", tracepoints),
    Capability("transparent huge pages", "tests of huge pages", transparent_huge_pages),
    Capability("reserved huge pages", "tests of huge pages", reserved_huge_pages),
)
