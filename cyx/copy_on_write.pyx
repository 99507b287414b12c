# cython: language_level=3, embedsignature=True
"""Give a forked process pages of its own, so that what it writes or calls later does not fault because of the fork.

After a fork every private page is shared until one side writes to it, and mappings of files are not copied at all.
Which of these pages a test touches is no property of the test alone; so they are brought in before it is measured.
"""

from libc.errno cimport errno
from libc.string cimport memcpy

from cyx.linux cimport (
    _SC_PAGESIZE,
    O_CLOEXEC,
    O_RDONLY,
    close,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
    madvise,
    mmap,
    munmap,
    open,
    pread,
    sysconf,
)

import io
import os
import re

cdef extern from "<sys/ioctl.h>" nogil:
    int ioctl(int fd, unsigned long request, void* argument)

cdef extern from *:
    """
    #include <stdint.h>
    #include <sys/ioctl.h>
    /* PAGEMAP_SCAN of Linux 6.7 (Documentation/admin-guide/mm/pagemap.rst), for older headers. */
    struct page_run { uint64_t start, end, categories; };
    struct page_scan {
        uint64_t size, flags, start, end, walk_end, runs, run_count, max_pages;
        uint64_t inverted, mask, any_of, returned;
    };
    #define SCAN_PAGES _IOWR('f', 16, struct page_scan)
    #ifndef MADV_POPULATE_READ
    #define MADV_POPULATE_READ 22
    #define MADV_POPULATE_WRITE 23
    #endif
    """
    struct page_run:
        unsigned long start
        unsigned long end
    struct page_scan:
        unsigned long size
        unsigned long flags
        unsigned long start
        unsigned long end
        unsigned long walk_end
        unsigned long runs
        unsigned long run_count
        unsigned long max_pages
        unsigned long inverted
        unsigned long mask
        unsigned long any_of
        unsigned long returned
    unsigned long SCAN_PAGES
    int MADV_POPULATE_READ
    int MADV_POPULATE_WRITE

cdef extern from "<sys/mman.h>" nogil:
    int MADV_HUGEPAGE
    int MREMAP_MAYMOVE
    int MREMAP_FIXED
    void* mremap(void* former, size_t former_length, size_t length, int flags, void* place)

cdef enum:
    # Categories of PAGEMAP_SCAN
    IS_FILE = 1 << 2
    IS_PRESENT = 1 << 3
    IS_ZERO_PAGE = 1 << 5
    RUNS = 256        # taken from one scan
    ENTRIES = 8192    # taken from one reading of pagemap, 8 bytes each

cdef unsigned long PRESENT_BIT = 1UL << 63  # of an entry of /proc/self/pagemap, as is FILE_BIT
cdef unsigned long FILE_BIT = 1UL << 61
cdef long page = sysconf(_SC_PAGESIZE)
cdef page_run runs[RUNS]
cdef unsigned long entries[ENTRIES]

MAPPING = re.compile(rb"([0-9a-f]+)-([0-9a-f]+) (r|-)(w|-)(x|-)(p|s) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+) *(.*)")


def mappings():
    """Return (start, end, readable, writable, private, of a file) of each mapping of this process."""
    with open_maps() as file:
        found = MAPPING.findall(file.read())
    return [
        (int(row[0], 16), int(row[1], 16), row[2] == b"r", row[3] == b"w", row[5] == b"p", row[6] != b"0")
        for row in found
        if not row[7].startswith((b"[v",))  # vvar, vdso and vsyscall are the kernel's
    ]


cdef object open_maps():
    return io.open("/proc/self/maps", "rb")


cdef void add_run(list into, unsigned long start, unsigned long end):
    if into and into[-1][1] == start:
        into[-1] = (into[-1][0], end)
    else:
        into.append((start, end))


cdef bint scan(int pagemap, unsigned long start, unsigned long end, bint of_file, list into) except -1:
    """Add the runs of present pages; False where the kernel is older than the call."""
    cdef page_scan request
    cdef int found, i
    while start < end:
        request.size = sizeof(page_scan)
        request.flags = 0
        request.start = start
        request.end = end
        request.walk_end = 0
        request.runs = <unsigned long>&runs[0]
        request.run_count = RUNS
        request.max_pages = 0
        request.mask = IS_PRESENT | IS_FILE | IS_ZERO_PAGE
        request.inverted = IS_ZERO_PAGE if of_file else IS_FILE | IS_ZERO_PAGE
        request.any_of = 0
        request.returned = IS_PRESENT
        found = ioctl(pagemap, SCAN_PAGES, &request)
        if found < 0:
            return False
        for i in range(found):
            add_run(into, runs[i].start, runs[i].end)
        start = request.walk_end
    return True


cdef int read_pagemap(int pagemap, unsigned long start, unsigned long end, bint of_file, list into) except -1:
    """Add the runs of present pages, a page at a time."""
    cdef long count, i
    cdef unsigned long wanted = PRESENT_BIT | (FILE_BIT if of_file else 0)
    while start < end:
        count = min(ENTRIES, <long>(end - start) // page)
        count = pread(pagemap, entries, count * 8, (start // page) * 8) // 8
        if count <= 0:
            raise OSError(errno, os.strerror(errno), "/proc/self/pagemap")
        for i in range(count):
            if entries[i] & (PRESENT_BIT | FILE_BIT) == wanted:
                add_run(into, start + i * page, start + (i + 1) * page)
        start += count * page
    return 0


def present_pages(list ranges, bint of_file):
    """Return as (start, end) the runs of pages in these ranges that are in memory.

    Args:
        ranges: (start, end) of whole mappings.
        of_file: True for pages of files and of shared memory, False for those that are the process's own.
    """
    cdef list found = []
    cdef int pagemap = open(b"/proc/self/pagemap", O_RDONLY | O_CLOEXEC)
    if pagemap < 0:
        raise OSError(errno, os.strerror(errno), "/proc/self/pagemap")
    try:
        for start, end in ranges:
            if not scan(pagemap, start, end, of_file, found):
                read_pagemap(pagemap, start, end, of_file, found)
    finally:
        close(pagemap)
    return found


def pages_of_files():
    """Return as (start, end) the pages of files and of shared memory that are mapped now; a fork has to map them again.

    fork(2) does not copy the page tables of what a fault can bring back (mm/memory.c, copy_page_range).
    """
    return present_pages(
        [
            (start, end)
            for start, end, readable, _, private, of_file in mappings()
            if readable and (of_file or not private)
        ],
        True,
    )


cdef list huge_ranges = []
cdef unsigned long huge = 0  # bytes of a transparent huge page; 0 where the kernel has none


def left_as_they_are():
    """Return by kind the bytes of mappings that a fork shares, lacks or finds empty, so that no copy can be made."""
    cdef dict found = {}
    for flags, size in writable_mappings():
        for flag, kind in (("ht", "hugetlb"), ("dc", "DONTFORK"), ("wf", "WIPEONFORK"), ("sh", "shared")):
            if flag in flags:
                found[kind] = found.get(kind, 0) + size
                break
    return found


def writable_mappings():
    """Return (flags, bytes resident or reserved) of each writable mapping, from smaps; see proc_pid_smaps(5)."""
    found = []
    size = 0
    for _, line in smaps_lines():
        if line.startswith("Size:"):
            size = int(line.split()[1]) * 1024
        elif line.startswith("VmFlags:"):
            flags = line.split()[1:]
            if "wr" in flags:
                found.append((flags, size))
    return found


cdef list smaps_lines():
    """Return (start of the mapping, line) for each line of smaps."""
    cdef list lines = []
    start = 0
    with io.open("/proc/self/smaps") as file:
        for line in file:
            if line[0] in "0123456789abcdef":
                start = int(line.partition("-")[0], 16)
            lines.append((start, line))
    return lines


def note_huge_pages():
    """Note which ranges lie on transparent huge pages; once, in the process whose forks will copy them."""
    cdef list mappings_with = sorted({
        start for start, line in smaps_lines() if line.startswith("AnonHugePages:") and int(line.split()[1])
    })
    global huge
    huge_ranges.clear()
    try:
        with io.open("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size") as file:
            huge = int(file.read())
    except OSError:
        return
    if not mappings_with:
        return
    for start, end, _, writable, private, _ in mappings():
        if start in mappings_with and writable and private:
            huge_ranges.extend(whole_huge_pages(present_pages([(start, end)], False)))


cdef list whole_huge_pages(list ranges):
    cdef list found = []
    cdef unsigned long start, end
    for start, end in ranges:
        start = (start + huge - 1) // huge * huge
        end = end // huge * huge
        if start < end:
            found.append((start, end))
    return found


def copy_huge_pages(long limit):
    """Move the noted ranges onto huge pages of this process, up to a limit in bytes; return those that were moved.

    Populating them would split each into small pages. A range that is not all there any more is left alone.
    """
    cdef unsigned long start, end, length, place
    cdef void* fresh
    cdef long done = 0
    cdef list moved = []
    for start, end in huge_ranges:
        length = end - start
        if done + <long>length > limit or present_pages([(start, end)], False) != [(start, end)]:
            continue
        fresh = mmap(NULL, length + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if fresh == MAP_FAILED:
            break
        place = (<unsigned long>fresh + huge - 1) // huge * huge
        madvise(<void*>place, length, MADV_HUGEPAGE)
        memcpy(<void*>place, <void*>start, length)
        if mremap(<void*>place, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, <void*>start) != MAP_FAILED:
            done += length
            moved.append((start, end))
        munmap(fresh, length + huge)  # what is left of it on both sides
    return moved


def without(list ranges, list taken):
    """Return the parts of these ranges that are not in those taken; both are in the order of addresses."""
    cdef unsigned long start, end, taken_start, taken_end
    cdef list found = []
    for start, end in ranges:
        for taken_start, taken_end in taken:
            if taken_start >= end or taken_end <= start:
                continue
            if start < taken_start:
                found.append((start, taken_start))
            start = taken_end
        if start < end:
            found.append((start, end))
    return found


def populate(list ranges, bint write, long limit):
    """Bring the pages of these ranges in, for writing or for reading; return how many bytes of them were left.

    What is no longer mapped, or not so, is passed over: its first use is the test's own affair.

    Args:
        limit: of the bytes to bring in.
    """
    cdef unsigned long start, end
    cdef long done = 0, left = 0
    cdef int advice = MADV_POPULATE_WRITE if write else MADV_POPULATE_READ
    for start, end in ranges:
        if done + <long>(end - start) > limit:
            left += end - start
            continue
        done += end - start
        madvise(<void*>start, end - start, advice)
    return left
