# cython: language_level=3, embedsignature=True
"""A mapped range with a buffer interface: here, a file that can be read."""

from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport errno
from libc.stdint cimport uintptr_t

from cyx.linux cimport (
    MADV_DONTNEED,
    MADV_NORMAL,
    MADV_RANDOM,
    MADV_SEQUENTIAL,
    MADV_WILLNEED,
    MAP_ANONYMOUS,
    MAP_FAILED,
    MAP_FIXED,
    MAP_NORESERVE,
    MAP_PRIVATE,
    PROT_NONE,
    PROT_READ,
    _SC_PAGESIZE,
    madvise,
    mmap,
    munmap,
    sysconf,
)

import os

cdef enum:
    # The kernel maps the cached neighbours of a page that faults, in blocks that are aligned by address (64 KiB as it
    # stands, filemap_map_pages): only a mapping that always begins at such a block always takes the same faults.
    ALIGNMENT = 2 * 1024 * 1024

cdef size_t page = sysconf(_SC_PAGESIZE)

ADVICE = {
    "normal": MADV_NORMAL,
    "sequential": MADV_SEQUENTIAL,
    "random": MADV_RANDOM,
    "willneed": MADV_WILLNEED,
}


cdef object check(int result):
    if result != 0:
        raise OSError(errno, os.strerror(errno))


cdef class Region:
    """The whole of an open file, mapped privately to be read. OSError where the kernel refuses.

    After ``close`` the file is not mapped any more, whatever still refers to the memory; such a reference reads zeros.

    Args:
        fd: descriptor of a regular file that is not empty; it may be closed afterwards.
    """

    cdef unsigned char* address
    cdef size_t mapped  # bytes of whole pages
    cdef readonly Py_ssize_t size
    cdef Py_ssize_t exports
    cdef readonly bint closed

    def __cinit__(self, int fd):
        cdef unsigned char* reserved
        cdef size_t room
        cdef size_t head
        self.address = NULL
        self.closed = True
        self.size = os.fstat(fd).st_size
        if self.size == 0:
            raise ValueError("fd: an empty file cannot be mapped")
        self.mapped = (self.size + page - 1) // page * page
        room = self.mapped + ALIGNMENT
        reserved = <unsigned char*>mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        if reserved == MAP_FAILED:
            raise OSError(errno, os.strerror(errno))
        head = (ALIGNMENT - <uintptr_t>reserved % ALIGNMENT) % ALIGNMENT
        if mmap(reserved + head, self.mapped, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED:
            error = errno
            munmap(reserved, room)
            raise OSError(error, os.strerror(error))
        self.address = reserved + head
        self.closed = False
        if head:
            munmap(reserved, head)
        munmap(self.address + self.mapped, room - head - self.mapped)

    def __dealloc__(self):
        if self.address != NULL:
            munmap(self.address, self.mapped)

    def __len__(self):
        return self.size

    def __getbuffer__(self, Py_buffer* view, int flags):
        self._require_open()
        PyBuffer_FillInfo(view, self, self.address, self.size, True, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* view):
        self.exports -= 1
        if self.closed and self.exports == 0:
            munmap(self.address, self.mapped)
            self.address = NULL

    def _require_open(self):
        if self.closed:
            raise ValueError("the region is closed")

    def advise(self, str advice not None):
        """Tell the kernel how the memory will be read, see madvise(2). ValueError for a word that is not in ADVICE."""
        self._require_open()
        if advice not in ADVICE:
            raise ValueError(f"advice={advice!r}: choose from {', '.join(map(repr, ADVICE))}")
        check(madvise(self.address, self.mapped, ADVICE[advice]))

    def forget(self):
        """Let go of the pages, so that each is faulted in again when it is next read (MADV_DONTNEED)."""
        self._require_open()
        check(madvise(self.address, self.mapped, MADV_DONTNEED))

    def close(self):
        """Unmap the file. A second call does nothing."""
        if self.closed:
            return
        if self.exports == 0:
            check(munmap(self.address, self.mapped))
            self.address = NULL
        elif mmap(
            self.address, self.mapped, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0
        ) == MAP_FAILED:  # an array or a view still refers to the addresses: they stay, empty, until it goes
            raise OSError(errno, os.strerror(errno))
        self.closed = True
