# cython: language_level=3, embedsignature=True
"""The accessed bits of the pages of this process: which memory was touched since they were cleared.

/proc/self/smaps (proc_pid_smaps(5)) sums them per mapping as ``Referenced``. The file is read through one fixed buffer:
it may have a megabyte, and nothing is to be allocated.
"""

from libc.errno cimport ENODATA, ENOMEM, errno
from libc.stdlib cimport strtol
from libc.string cimport memchr, memcmp, memmove, strchr

from cyx.linux cimport (
    MADV_NOHUGEPAGE,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_PRIVATE,
    O_CLOEXEC,
    O_RDONLY,
    PROT_READ,
    PROT_WRITE,
    close,
    madvise,
    mmap,
    munmap,
    open,
    read,
)
from cyx.probes cimport procfs

import io
import os
import re

from cyx.probes.procfs import read_below

PAGES = re.compile(rb" N[0-9]+=([0-9]+)")

cdef enum:
    ROOM = 8 * 1024  # small: the buffer's own pages are counted too
    FLUSH = 64  # pages: beyond 33 the kernel flushes the whole TLB (tlb_single_page_flush_ceiling, arch/x86/mm/tlb.c)

cdef char room[ROOM]
cdef long page = procfs.page_size()
cdef long huge_page = page // 8 * page  # what one page of page table entries, 8 bytes each, maps
cdef Accessed idle  # what an empty interval reads; 0 as long as none was taken

cdef struct Mapping:
    bint of_file
    long resident
    long referenced
    long anonymous
    long huge


cdef int clear_accessed() noexcept nogil:
    """Clear the accessed bits and flush the TLB, so that memory that is hot now is seen when touched again.

    Writing ``1`` to clear_refs clears the bits but flushes nothing (fs/proc/task_mmu.c); touching and unmapping a
    scratch area does. On processors that flush page by page however many there are, hot pages may be missed.
    """
    cdef long size = FLUSH * procfs.page_size()
    cdef long place = 0
    cdef int error
    cdef char* scratch = <char*>mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if scratch == <char*>MAP_FAILED:
        return ENOMEM
    madvise(scratch, size, MADV_NOHUGEPAGE)
    error = procfs.clear_referenced()
    while place < size:
        (<volatile char*>scratch)[place] = 1
        place += procfs.page_size()
    munmap(scratch, size)
    return error


cdef void add(const Mapping* mapping, Accessed* into) noexcept nogil:
    if not mapping.of_file:
        # A huge page has one bit: of what was touched in one go, the first and the last may reach beyond it.
        into.anonymous_low += mapping.referenced - min(mapping.referenced, mapping.huge, 2 * (huge_page - page))
        into.anonymous_high += mapping.referenced
    else:
        # Pages of the file and private copies of them are counted as one: either kind may be the one touched.
        into.anonymous_low += max(0, mapping.referenced - (mapping.resident - mapping.anonymous))
        into.anonymous_high += min(mapping.referenced, mapping.anonymous)
        into.file += min(mapping.referenced, mapping.resident - mapping.anonymous)


cdef bint starts(const char* line, const char* name, size_t length) noexcept nogil:
    return memcmp(line, name, length) == 0


cdef void take_line(const char* line, Mapping* mapping, Accessed* into) noexcept nogil:
    cdef const char* place = line
    cdef int _field
    if c"A" <= line[0] <= c"Z":
        if starts(line, b"Rss:", 4):
            mapping.resident = strtol(line + 4, NULL, 10) * 1024
        elif starts(line, b"Referenced:", 11):
            mapping.referenced = strtol(line + 11, NULL, 10) * 1024
        elif starts(line, b"Anonymous:", 10):
            mapping.anonymous = strtol(line + 10, NULL, 10) * 1024
        elif starts(line, b"AnonHugePages:", 14):
            mapping.huge = strtol(line + 14, NULL, 10) * 1024
        return
    add(mapping, into)  # the head of the next mapping: addresses, rights, offset, device, inode, name
    mapping.resident = mapping.referenced = mapping.anonymous = mapping.huge = 0
    for _field in range(4):
        if place != NULL:
            place = strchr(place + 1, c" ")
    mapping.of_file = place != NULL and strtol(place, NULL, 10) != 0


cdef int read_accessed(Accessed* into) noexcept:
    """Sum the bits of all mappings. Call it with the GIL held, for there is one buffer."""
    cdef Mapping mapping
    cdef long filled = 0
    cdef long length
    cdef char* line
    cdef char* end
    cdef int fd = open(b"/proc/self/smaps", O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return errno
    mapping.of_file = False
    mapping.resident = mapping.referenced = mapping.anonymous = mapping.huge = 0
    into.anonymous_low = into.anonymous_high = into.file = 0
    while True:
        length = read(fd, room + filled, ROOM - filled - 1)
        if length <= 0:
            break
        filled += length
        line = room
        while True:
            end = <char*>memchr(line, c"\n", room + filled - line)
            if end == NULL:
                break
            end[0] = 0
            take_line(line, &mapping, into)
            line = end + 1
        filled = room + filled - line
        memmove(room, line, filled)
    add(&mapping, into)
    close(fd)
    if length < 0:
        return errno
    return 0 if into.anonymous_high > 0 else ENODATA  # the kernel was built without page monitoring


def run_idle():
    """Do what any Python code does: call, count, build, drop."""
    kept = {}
    for i in range(8):
        kept[str(i)] = [i]
    return kept


cdef int learn_idle() except -1:
    """Find, once, what any Python code touches."""
    if idle.anonymous_high == 0:
        for _ in range(2):  # the first pass brings its own code and buffer into memory
            run_idle()
            clear_accessed()
            run_idle()
            read_accessed(&idle)
    return 0


cdef long idle_anonymous() noexcept nogil:
    return idle.anonymous_high


def rollup(root="/proc"):
    """Return the figures of proc_pid_smaps_rollup(5) as a dict of bytes, such as ``Pss`` and ``Private_Dirty``.

    Exact at any kernel but those of ``hidden``, for the page tables themselves are walked: some 9 us a MiB. OSError
    where it cannot be read.
    """
    try:
        text = read_below(root, "smaps_rollup")
    except FileNotFoundError:  # before Linux 4.14
        text = read_below(root, "smaps")
    figures = {}
    for line in text.splitlines():
        name, colon, rest = line.partition(b":")
        words = rest.split()
        if colon and len(words) == 2 and words[1] == b"kB":
            key = name.decode()
            figures[key] = figures.get(key, 0) + int(words[0]) * 1024
    return figures


def are_balanced(root="/proc"):
    """Tell whether the kernel balances pages between NUMA nodes, for which it takes their rights away for a while."""
    try:
        with io.open(os.path.join(root, "sys/kernel/numa_balancing"), "rb") as file:
            return int(file.read()) != 0
    except (OSError, ValueError):  # there are no nodes
        return False


def hidden(resident, root="/proc", start=0, end=1 << 64):
    """Return the bytes on transparent huge pages that smaps leaves out; numa_maps counts them all the same.

    Some kernels, such as Linux 6.1, do not show huge pages in smaps whose rights are away, see ``are_balanced``.
    OSError where numa_maps cannot be read.

    Args:
        resident: ``Rss`` of the mappings that begin from ``start`` on and before ``end``, without reserved huge pages.
    """
    if not are_balanced(root):
        return 0
    pages = 0
    for line in read_below(root, "numa_maps").splitlines():
        if b" huge" not in line and start <= int(line.split(b" ", 1)[0], 16) < end:
            pages += sum([int(count) for count in PAGES.findall(line)])
    return max(pages * page - resident, 0) // huge_page * huge_page
