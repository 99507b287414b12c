# cython: language_level=3, embedsignature=True
"""A checksum over bytes and their order, as programs compute one."""

from libc.stdint cimport uint64_t

from cyx.patterns.running cimport LINE, Access, Pass
from cyx.patterns.transfer cimport Transfer

cdef extern from "adler.h" nogil:
    uint64_t adler_piece(const unsigned char* memory, size_t size, size_t behind)
    uint64_t adler_whole(uint64_t pieces, size_t size)


cdef int checksum_part(Access* access) noexcept nogil:
    access.bytes = access.accesses = access.last - access.first
    access.checksum = adler_piece(access.source + access.first, access.bytes, access.size - access.last)
    return 0


def checksum(source, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Compute Adler-32, that of ``zlib.adler32``; an access is a byte.

    Args:
        source: memory.
        offset: of the first byte.
        length: bytes from there on; without it, all that follow.
        threads: that share the work, each a stretch of its own.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    cdef Transfer transfer
    this.read("source", source)
    transfer = this.run(checksum_part, this.access.size, LINE)
    transfer.checksum = adler_whole(transfer.checksum, this.access.size)
    return transfer
