# cython: language_level=3, embedsignature=True, cdivision=True
"""One byte at each multiple of a stride, read or written; as it stands, one for each page."""

from libc.stdint cimport uint64_t

from cyx.patterns.arguments cimport LARGEST, whole
from cyx.patterns.running cimport SAMPLES, Access, Pass, spread

import mmap

cdef extern from "strided.h" nogil:
    uint64_t sum_at_stride(const unsigned char* memory, size_t begin, size_t end, size_t stride)
    void write_at_stride(unsigned char* memory, size_t begin, size_t end, size_t stride, unsigned char value)

cdef extern from "files.h" nogil:
    int read_at(int fd, void* buffer, size_t wanted, size_t offset, size_t* got)


cdef size_t steps_of(Access* access) noexcept nogil:
    """Return how many multiples of the stride there are."""
    return access.size // access.stride + (access.size % access.stride != 0)


cdef size_t end_of(Access* access) noexcept nogil:
    """Return where this thread's share of the bytes ends."""
    return access.size if access.last == access.count else access.last * access.stride


cdef int touch_memory(Access* access) noexcept nogil:
    access.checksum = sum_at_stride(access.source, access.first * access.stride, end_of(access), access.stride)
    access.bytes = access.accesses = access.last - access.first
    return 0


cdef int touch_file(Access* access) noexcept nogil:
    cdef size_t step
    cdef size_t got
    cdef unsigned char value
    cdef int error
    access.accesses = access.checksum = 0
    for step in range(access.first, access.last):
        error = read_at(access.fd, &value, 1, access.start + step * access.stride, &got)
        if error:
            return error
        if got == 0:
            break
        access.checksum += value
        access.accesses += 1
    access.bytes = access.accesses
    return 0


cdef int touch_write_part(Access* access) noexcept nogil:
    write_at_stride(access.target, access.first * access.stride, end_of(access), access.stride, access.value)
    access.bytes = access.accesses = access.last - access.first
    return 0


cdef int sample_touched(Access* access) noexcept nogil:
    """Sum up bytes that were written, so that no other page is touched."""
    cdef size_t i
    access.checksum = 0
    if access.count:
        for i in range(SAMPLES):
            access.checksum += access.target[spread(access.count - 1, i) * access.stride]
    return 0


def touch(source, stride=mmap.PAGESIZE, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Read one byte at every multiple of the stride, in order; the checksum is the sum of these bytes.

    Args:
        source: memory or a file.
        stride: bytes from one access to the next, 1 or more; as it stands, one access a page.
        offset: of the first byte.
        length: bytes from there on; without it, all that follow.
        threads: that share the work, each a stretch of its own.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.access.stride = whole("stride", stride, 1, LARGEST)
    this.read_or_open("source", source)
    this.access.count = steps_of(&this.access)
    return this.run(touch_memory if this.access.source != NULL else touch_file, this.access.count)


def touch_write(target, stride=mmap.PAGESIZE, value=0, *, offset=0, length=None, threads=1, first_touch=False,
                passes=1):
    """Write one byte at every multiple of the stride, in order, without reading what is there.

    Args:
        target: memory that can be written.
        stride: bytes from one access to the next, 1 or more; as it stands, one access a page.
        value: the byte, 0 to 255.
        offset: of the first byte.
        length: bytes from there on; without it, all that follow.
        threads: that share the work, each a stretch of its own.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.access.stride = whole("stride", stride, 1, LARGEST)
    this.access.value = whole("value", value, 0, 255)
    this.write("target", target)
    this.access.count = steps_of(&this.access)
    return this.run(touch_write_part, this.access.count, 1, sample_touched)
