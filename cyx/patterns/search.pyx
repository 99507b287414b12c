# cython: language_level=3, embedsignature=True, cdivision=True
"""Bytes of one value, counted or looked for one after the other."""

from libc.stdint cimport uint64_t

from cyx.patterns.arguments cimport whole
from cyx.patterns.running cimport LINE, Access, Pass

cdef extern from "search.h" nogil:
    uint64_t count_byte(const unsigned char* memory, size_t size, unsigned char value)
    uint64_t find_byte(const unsigned char* memory, size_t begin, size_t end, unsigned char value, uint64_t* sum)


cdef int count_part(Access* access) noexcept nogil:
    access.bytes = access.accesses = access.last - access.first
    access.checksum = count_byte(access.source + access.first, access.bytes, access.value)
    return 0


cdef int find_part(Access* access) noexcept nogil:
    access.bytes = access.last - access.first
    access.accesses = find_byte(access.source, access.first, access.last, access.value, &access.checksum)
    return 0


def count(source, value, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Count the bytes of this value; their number is the checksum, and an access is a byte.

    Args:
        source: memory.
        value: 0 to 255.
        offset: of the first byte.
        length: bytes from there on; without it, all that follow.
        threads: that share the work, each a stretch of its own.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.access.value = whole("value", value, 0, 255)
    this.read("source", source)
    return this.run(count_part, this.access.size, LINE)


def find_lines(source, end=10, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Go from line end to line end with memchr(3); an access is a line end, the checksum the sum of their offsets.

    Args:
        source: memory.
        end: the byte that ends a line, 0 to 255; as it stands, a newline.
        offset: of the first byte; offsets in the sum are counted from there.
        length: bytes from there on; without it, all that follow.
        threads: that share the work, each a stretch of its own.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.access.value = whole("end", end, 0, 255)
    this.read("source", source)
    return this.run(find_part, this.access.size, LINE)
