# cython: language_level=3, embedsignature=True, cdivision=True
"""Block by block into one buffer, as programs read that do not map their files."""

from libc.errno cimport EINTR, errno
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from cyx.linux cimport read
from cyx.patterns.arguments cimport LARGEST, whole
from cyx.patterns.running cimport Access, Pass

import mmap
import os

cdef extern from "blocks.h" nogil:
    uint64_t sum_of_block(const unsigned char* block, size_t length, size_t offset, size_t stride)

cdef extern from "<unistd.h>" nogil:
    int SEEK_SET
    long lseek(int fd, long offset, int whence)

cdef extern from "files.h" nogil:
    int read_at(int fd, void* buffer, size_t wanted, size_t offset, size_t* got)


cdef void start(Access* access) noexcept nogil:
    access.bytes = access.accesses = access.checksum = 0


cdef void take_block(Access* access, size_t offset, size_t length) noexcept nogil:
    access.checksum += sum_of_block(access.buffer, length, offset, access.stride)
    access.bytes += length
    access.accesses += 1


cdef int copy_blocks(Access* access) noexcept nogil:
    cdef size_t offset = access.first
    cdef size_t length
    start(access)
    while offset < access.last:
        length = min(access.block, access.last - offset)
        memcpy(access.buffer, access.source + offset, length)
        take_block(access, offset, length)
        offset += length
    return 0


cdef int pread_blocks(Access* access) noexcept nogil:
    cdef size_t offset = access.first
    cdef size_t got
    cdef int error
    start(access)
    while offset < access.last:
        error = read_at(access.fd, access.buffer, min(access.block, access.last - offset), access.start + offset, &got)
        if error or got == 0:
            return error
        take_block(access, offset, got)
        offset += got
    return 0


cdef int read_blocks_on(Access* access) noexcept nogil:
    """Read from the file's position on; a short read is a short block, as programs see it."""
    cdef size_t offset = access.first
    cdef long got
    start(access)
    if lseek(access.fd, access.start, SEEK_SET) < 0:
        return errno
    while offset < access.last:
        got = read(access.fd, access.buffer, min(access.block, access.last - offset))
        if got == 0:
            break
        if got > 0:
            take_block(access, offset, got)
            offset += got
        elif errno != EINTR:
            return errno
    return 0


def read_blocks(source, block=64 * 1024, stride=mmap.PAGESIZE, *, call="pread", offset=0, length=None, threads=1,
                first_touch=False, passes=1):
    """Copy the source, block by block, into one buffer, and read a byte at every multiple of the stride there.

    The checksum is that of ``touch`` with this stride; an access is a block.

    Args:
        source: memory, which is copied with memcpy(3), or a file.
        block: bytes of the buffer, 1 or more; each thread has one.
        stride: bytes of the source from one byte read to the next, 1 or more.
        call: ``"pread"``, or ``"read"`` for a file: that moves its position, which is put back at the end.
        offset: of the first byte.
        length: bytes from there on; without it, all that follow.
        threads: that share the work, each a stretch of its own; one for ``"read"``.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.access.block = whole("block", block, 1, LARGEST)
    this.access.stride = whole("stride", stride, 1, LARGEST)
    if call not in ("pread", "read"):
        raise ValueError(f"call={call!r}: give 'pread' or 'read'")
    this.read_or_open("source", source)
    this.access.block = min(this.access.block, max(this.access.size, 1))  # no buffer needs to be larger
    if this.access.source != NULL:
        if call == "read":
            raise ValueError("call='read': source is memory, give a file")
        return this.run(copy_blocks, this.access.size, this.access.block)
    if call == "pread":
        return this.run(pread_blocks, this.access.size, this.access.block)
    if this.threads > 1:
        raise ValueError(f"threads={threads}: a file has one position, give threads=1 or call='pread'")
    position = os.lseek(this.access.fd, 0, os.SEEK_CUR)
    try:
        return this.run(read_blocks_on, this.access.size)
    finally:
        os.lseek(this.access.fd, position, os.SEEK_SET)
