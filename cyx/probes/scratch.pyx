# cython: language_level=3, embedsignature=True, cdivision=True
"""Fresh pages of each type that the kernel counts, to be touched and given back.

Pages of files and of shared memory come from descriptors that are opened once, as opening allocates in the kernel.
"""

from cyx.linux cimport (
    MADV_NOHUGEPAGE,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    O_CLOEXEC,
    O_RDONLY,
    PROT_READ,
    PROT_WRITE,
    Dl_info,
    SYS_memfd_create,
    dladdr,
    ftruncate,
    getpid,
    madvise,
    mmap,
    munmap,
    open,
    syscall,
)
from cyx.probes cimport procfs
from cyx.probes.descriptor cimport Descriptor, is_ours, keep

cdef enum:
    CLOSE_ON_EXEC = 1  # MFD_CLOEXEC
    FAILED = -1

cdef long page = procfs.page_size()
cdef Descriptor sources[TYPES]  # of the types 1 and 2: files whose pages are in memory
sources[1].fd = -1
sources[2].fd = -1


cdef void open_sources(long pages) noexcept nogil:
    """Open the files that pages come from; there will be so many of each type."""
    cdef Dl_info library
    cdef int fd
    # The C library: surely there, and in the page cache.
    if dladdr(<const void*>getpid, &library):
        fd = open(library.dli_fname, O_RDONLY | O_CLOEXEC)
        if fd >= 0:
            keep(&sources[1], fd)
    fd = syscall(SYS_memfd_create, b"memperf", CLOSE_ON_EXEC)
    if fd >= 0:
        ftruncate(fd, pages * page)
        keep(&sources[2], fd)


cdef bint spans_tables(const char* start, long pages) noexcept nogil:
    """Tell whether two page tables map the range: then giving it back is counted in two steps."""
    cdef long size = page // 8 * page
    return <long>start // size != (<long>start + pages * page - 1) // size


cdef int map_scratch(int type, long pages, Scratch* scratch) noexcept nogil:
    """Map pages of a type; none is touched yet. Returns 0, or -1 where there are none."""
    cdef int fd = -1
    cdef int protection = PROT_READ
    cdef int flags = MAP_SHARED
    cdef char* first
    scratch.pages = scratch.used = 0
    if type == 0:
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        protection |= PROT_WRITE
    else:
        fd = sources[type].fd
        if not is_ours(&sources[type]) or sources[type].opened.st_size < pages * page:
            return FAILED
    scratch.start = <char*>mmap(NULL, pages * page, protection, flags, fd, 0)
    if scratch.start != <char*>MAP_FAILED and spans_tables(scratch.start, pages):
        first = scratch.start  # the next one lies beside it
        scratch.start = <char*>mmap(NULL, pages * page, protection, flags, fd, 0)
        munmap(first, pages * page)
    if scratch.start == <char*>MAP_FAILED:
        return FAILED
    scratch.pages = pages
    madvise(scratch.start, scratch.pages * page, MADV_NOHUGEPAGE)
    return 0


cdef void touch(Scratch* scratch, int type) noexcept nogil:
    """Touch the next page."""
    cdef volatile char* place = scratch.start + scratch.used * page
    cdef char _seen
    if type == 0:
        place[0] = 1
    else:
        _seen = place[0]
    scratch.used += 1


cdef void give_back(Scratch* scratch) noexcept nogil:
    """Unmap all pages at once."""
    munmap(scratch.start, scratch.pages * page)
