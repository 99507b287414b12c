# cython: language_level=3, embedsignature=True, cdivision=True
"""Accesses at random offsets, which a seed names."""

from libc.stdint cimport uint64_t

from cyx.patterns.arguments cimport LARGEST, whole
from cyx.patterns.running cimport Access, Pass

cdef extern from "at_random.h" nogil:
    uint64_t random_word(uint64_t seed, uint64_t index)
    uint64_t sum_at_random(const unsigned char* memory, size_t size, size_t first, size_t last, uint64_t seed)

cdef extern from "files.h" nogil:
    int read_at(int fd, void* buffer, size_t wanted, size_t offset, size_t* got)


cdef int touch_random_memory(Access* access) noexcept nogil:
    access.checksum = sum_at_random(access.source, access.size, access.first, access.last, access.seed)
    access.bytes = access.accesses = access.last - access.first
    return 0


cdef int touch_random_file(Access* access) noexcept nogil:
    cdef size_t i
    cdef size_t got
    cdef unsigned char value
    cdef int error
    for i in range(access.first, access.last):
        error = read_at(access.fd, &value, 1, access.start + random_word(access.seed, i) % access.size, &got)
        if error:
            return error
        access.checksum += value * got
        access.accesses += got
    access.bytes = access.accesses
    return 0


def touch_random(source, count, seed=0, *, offset=0, length=None, threads=1, first_touch=False):
    """Read one byte at each of ``count`` random offsets; the checksum is the sum of these bytes.

    The offsets depend on the seed and on the size of the source alone: the same on every machine, in the same order.

    Args:
        source: memory or a file that is not empty.
        count: accesses, 0 or more.
        seed: 0 to 2**64 - 1.
        offset: of the first byte.
        length: bytes from there on; without it, all that follow.
        threads: that share the accesses.
        first_touch: each thread touches its share of memory before the clock starts.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch)
    this.access.count = whole("count", count, 0, LARGEST)
    this.access.seed = whole("seed", seed, 0, <uint64_t>-1)
    this.read_or_open("source", source)
    if this.access.size == 0 and this.access.count:
        raise ValueError("source is empty: there is no byte to touch at random")
    return this.run(touch_random_memory if this.access.source != NULL else touch_random_file, this.access.count)
