# cython: language_level=3, embedsignature=True, cdivision=True
"""Accesses at random offsets, which a seed names."""

from libc.stdint cimport uint64_t

from cyx.patterns.arguments cimport LARGEST, number, whole
from cyx.patterns.running cimport Access, Pass

cdef extern from "at_random.h" nogil:
    struct draw:
        pass
    int DRAW_UNIFORM
    int DRAW_ONCE
    int DRAW_ZIPF
    void draw_init(draw* draws, int kind, uint64_t units, size_t unit, uint64_t seed, double skew)
    size_t draw_offset(const draw* draws, uint64_t i)
    uint64_t sum_at_random(const unsigned char* memory, const draw* draws, size_t first, size_t last)

cdef extern from "files.h" nogil:
    int read_at(int fd, void* buffer, size_t wanted, size_t offset, size_t* got)

cdef double MOST_SKEW = 100


cdef int touch_random_memory(Access* access) noexcept nogil:
    access.checksum = sum_at_random(access.source, <draw*>access.more, access.first, access.last)
    access.bytes = access.accesses = access.last - access.first
    return 0


cdef int touch_random_file(Access* access) noexcept nogil:
    cdef size_t i
    cdef size_t got
    cdef unsigned char value
    cdef int error
    access.accesses = access.checksum = 0
    for i in range(access.first, access.last):
        error = read_at(access.fd, &value, 1, access.start + draw_offset(<draw*>access.more, i), &got)
        if error:
            return error
        access.checksum += value * got
        access.accesses += got
    access.bytes = access.accesses
    return 0


cdef int kind_of(object repeat, object distribution, double skew) except -1:
    """Return how offsets are drawn."""
    if not isinstance(repeat, bool):
        raise ValueError(f"repeat={repeat!r}: give True or False")
    if distribution not in ("uniform", "zipf"):
        raise ValueError(f"distribution={distribution!r}: give 'uniform' or 'zipf'")
    if not 0 < skew <= MOST_SKEW:
        raise ValueError(f"skew={skew}: give a number above 0, up to {MOST_SKEW:g}")
    if distribution == "uniform":
        return DRAW_UNIFORM if repeat else DRAW_ONCE
    if not repeat:
        raise ValueError("repeat=False: Zipf's law repeats what is frequent, give distribution='uniform'")
    return DRAW_ZIPF


def touch_random(source, count, seed=0, *, unit=1, repeat=True, distribution="uniform", skew=0.99, offset=0,
                 length=None, threads=1, first_touch=False, passes=1):
    """Read one byte at each of ``count`` random offsets; the checksum is the sum of these bytes.

    The offsets depend on the seed and on the size of the source alone: the same in every run, in the same order. They
    are drawn while the clock runs.

    Args:
        source: memory or a file that is not empty.
        count: accesses, 0 or more.
        seed: 0 to 2**64 - 1.
        unit: offsets are multiples of it: 64 for cache lines, the page size for pages; no more than the bytes.
        repeat: False for offsets of which none comes twice.
        distribution: ``"uniform"``, or ``"zipf"``: the k-th most frequent offset in proportion to 1 / k**skew, and
            the frequent ones anywhere in the source.
        skew: of Zipf's law, above 0.
        offset: of the first byte.
        length: bytes from there on; without it, all that follow.
        threads: that share the accesses.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    cdef draw draws
    cdef size_t units
    cdef int kind = kind_of(repeat, distribution, number("skew", skew))
    this.access.count = whole("count", count, 0, LARGEST)
    this.access.seed = whole("seed", seed, 0, <uint64_t>-1)
    this.access.stride = whole("unit", unit, 1, LARGEST)
    this.read_or_open("source", source)
    if this.access.size == 0 and this.access.count:
        raise ValueError("source is empty: there is no byte to touch at random")
    if this.access.size and this.access.stride > this.access.size:
        raise ValueError(f"unit={unit}: give at most {this.access.size}, the bytes of source")
    units = this.access.size // this.access.stride + (this.access.size % this.access.stride != 0)
    if kind == DRAW_ONCE and this.access.count > units:
        raise ValueError(f"count={count}: without repetition there are {units} offsets")
    draw_init(&draws, kind, units, this.access.stride, this.access.seed, skew)
    this.access.more = &draws
    return this.run(touch_random_memory if this.access.source != NULL else touch_random_file, this.access.count)
