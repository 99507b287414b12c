# cython: language_level=3, embedsignature=True
"""How much of a file is in the page cache; drop it from there, or fill it in.

A file is a path, or the descriptor of a file that is open for reading. What cannot be done is an OSError whose
``errno`` tells why: EBUSY (someone has the pages mapped or in use), EOPNOTSUPP (the file system lives in memory), EPERM
(the kernel tells only the owner and those who may write), ENOMEM (the cache does not keep the whole file).
"""

from libc.errno cimport EBUSY, ENOMEM, EOPNOTSUPP, EPERM, errno
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

from cyx.linux cimport MAP_FAILED, MAP_SHARED, PROT_READ, fstatfs, mincore, mmap, munmap, statfs

import contextlib
import mmap as mmap_module
import os
import stat
import time

from cyx import patterns

cdef extern from *:
    """
    #include <stdint.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    #ifndef SYS_cachestat
    #define SYS_cachestat 451  /* the same number on every architecture but alpha; C libraries name it late */
    #endif

    struct cyx_cachestat_range { uint64_t offset, length; };
    struct cyx_cachestat { uint64_t cached, dirty, writeback, evicted, recently_evicted; };

    static long cyx_cachestat(int fd, uint64_t offset, uint64_t length, struct cyx_cachestat *status)
    {
        struct cyx_cachestat_range range = {offset, length};
        return syscall(SYS_cachestat, fd, &range, status, 0);
    }
    """
    struct Cachestat "cyx_cachestat":
        uint64_t cached
        uint64_t dirty
        uint64_t writeback
        uint64_t evicted
        uint64_t recently_evicted

    long cachestat "cyx_cachestat"(int fd, uint64_t offset, uint64_t length, Cachestat* status) nogil

cdef enum:
    FILL_BLOCK = 1024 * 1024  # bytes
    ATTEMPTS = 8              # a page that is just being read, written back or moved can be dropped a moment later

cdef long page = mmap_module.PAGESIZE

# File systems whose page cache is the file itself, by the magic numbers of statfs(2).
MEMORY_FILE_SYSTEMS = {0x01021994: "tmpfs", 0x858458F6: "ramfs", 0x958458F6: "hugetlbfs"}


@contextlib.contextmanager
def _opened(file):
    """Yield a descriptor of the file, and close it if it was opened here."""
    if isinstance(file, int) and not isinstance(file, bool):
        yield file
        return
    try:
        path = os.fspath(file)
    except TypeError:
        raise ValueError(f"file={file!r}: give a path or the descriptor of an open file") from None
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _pages(int fd, offset=0, length=None):
    """Return how many pages the file has, or a part of it."""
    there = max(0, os.fstat(fd).st_size - offset)
    return (min(there, there if length is None else length) + page - 1) // page


def _cached_by_cachestat(int fd, offset=0, length=None):
    """Return how many pages of the file are cached, from cachestat(2), Linux 6.5. OSError with ENOSYS before."""
    cdef Cachestat status
    if cachestat(fd, offset, length or 0, &status) != 0:  # 0 is all of it
        raise OSError(errno, os.strerror(errno))
    return min(status.cached, _pages(fd, offset, length))  # a large folio may reach beyond the end of the file


def cachestat_unavailable():
    """Return why cachestat(2) cannot be asked here, and the mend, or None where it can."""
    fd = os.memfd_create("cyx")
    try:
        _cached_by_cachestat(fd)
    except OSError as error:
        return f"cachestat(2) is refused ({error.strerror}): use Linux 6.5 or newer; mincore(2) serves until then"
    finally:
        os.close(fd)
    return None


def _cached_by_mincore(int fd, long offset=0, length=None):
    """Return how many pages of the file are cached, from mincore(2) over a mapping of it."""
    cdef size_t pages = _pages(fd, offset, length)
    cdef size_t cached = 0
    cdef size_t i
    cdef int error = 0
    cdef void* address
    cdef unsigned char* vector
    if pages == 0:
        return 0
    # mincore answers others with "all of it" since Linux 5.2, so that they cannot watch who reads what.
    if os.fstat(fd).st_uid != os.geteuid() != 0 and not os.access(f"/proc/self/fd/{fd}", os.W_OK, effective_ids=True):
        raise OSError(EPERM, "the page cache of a file is shown to its owner and to those who may write it")
    vector = <unsigned char*>malloc(pages)
    if vector == NULL:
        raise MemoryError()
    address = mmap(NULL, pages * page, PROT_READ, MAP_SHARED, fd, offset)
    if address == MAP_FAILED:
        error = errno
    else:
        if mincore(address, pages * page, vector) != 0:
            error = errno
        else:
            for i in range(pages):
                cached += vector[i] & 1
        munmap(address, pages * page)
    free(vector)
    if error:
        raise OSError(error, os.strerror(error))
    return cached


def _cached(int fd, offset=0, length=None):
    if memory_file_system(fd) == "hugetlbfs":  # which neither call counts
        return min(_pages(fd, offset, length), os.fstat(fd).st_blocks * 512 // page)
    with contextlib.suppress(OSError):  # too old a kernel, a filter that does not know the call, a file of others
        return _cached_by_cachestat(fd, offset, length)
    return _cached_by_mincore(fd, offset, length)


def memory_file_system(file):
    """Return "tmpfs", "ramfs" or "hugetlbfs" where the file lives in memory alone, else None."""
    cdef statfs status
    with _opened(file) as fd:
        if fstatfs(fd, &status) != 0:
            raise OSError(errno, os.strerror(errno))
        return MEMORY_FILE_SYSTEMS.get(status.f_type & 0xFFFFFFFF)


def share(file, offset=0, length=None):
    """Return the share of the file's pages that are in the page cache, 0.0 to 1.0; 1.0 where there is no page.

    Args:
        file: see above.
        offset: where the part to be looked at begins, a multiple of the page size.
        length: its bytes; all from the offset on where it is left out.
    """
    if not isinstance(offset, int) or offset % page or offset < 0:
        raise ValueError(f"offset={offset!r}: give a multiple of {page}")
    if length is not None and (not isinstance(length, int) or length < 0):
        raise ValueError(f"length={length!r}: give a number of bytes")
    with _opened(file) as fd:
        pages = _pages(fd, offset, length)
        return _cached(fd, offset, length) / pages if pages else 1.0


def drop(file):
    """Write the file out (fsync(2)) and take it out of the page cache (posix_fadvise(2)); verified.

    OSError with EBUSY where pages stay: the kernel drops none that someone has mapped and touched.
    """
    with _opened(file) as fd:
        name = memory_file_system(fd)
        if name is not None:
            raise OSError(EOPNOTSUPP, f"{name} keeps its files in memory")
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError(f"file={file!r}: give a regular file, no folder, pipe or device")
        os.fsync(fd)
        for attempt in range(ATTEMPTS):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            left = _cached(fd)
            if left == 0:
                return
            time.sleep(0.001 * 2**attempt)
        raise OSError(EBUSY, f"{left:,} of {_pages(fd):,} pages stay in the page cache: someone has the file mapped")


def fill(file):
    """Read the file into the page cache, in one fixed way, where it is not there yet; verified.

    Every page of a file that was dropped before comes in alone, not as part of a larger folio: the kernel then takes
    one fault for each of its fault-around blocks (16 pages as it stands), whatever the read-ahead of this machine.
    """
    with _opened(file) as fd:
        if memory_file_system(fd) == "hugetlbfs":  # there is nowhere to read it from
            return
        for attempt in range(ATTEMPTS):
            # Without read-ahead no folio grows. The advice belongs to the open file, so it is taken back.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
            try:
                patterns.read_blocks(fd, FILL_BLOCK, FILL_BLOCK)
            finally:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_NORMAL)
            cached, pages = _cached(fd), _pages(fd)
            if cached >= pages:
                return
            time.sleep(0.001 * 2**attempt)  # proactive reclaim (DAMON) took a page, and may take it again at once
        raise OSError(ENOMEM, f"only {cached:,} of {pages:,} pages stay in the page cache")
