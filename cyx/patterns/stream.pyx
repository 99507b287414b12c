# cython: language_level=3, embedsignature=True, cdivision=True
"""The four loops of STREAM: copy, scale, add and triad.

All take ``offset`` and ``length`` in bytes of each operand, ``threads`` that share the work, ``first_touch``, by which
each thread touches its share of memory before the clock starts, and ``passes``, as many of which follow each other
while the clock runs. Bytes are those read and those written; an access is a word written.
"""

from cyx.patterns.arguments cimport WORD, items, number
from cyx.patterns.running cimport LINE, Access, Pass, count_words, sample

cdef extern from "stream.h" nogil:
    void stream_copy(unsigned char* target, const unsigned char* source, size_t size)
    void stream_scale(unsigned char* target, const unsigned char* source, size_t size, double factor)
    void stream_add(unsigned char* target, const unsigned char* source, const unsigned char* second, size_t size)
    void stream_triad(unsigned char* target, const unsigned char* source, const unsigned char* second, size_t size,
                      double factor)


cdef size_t count(Access* access, int streams) noexcept nogil:
    """Count what is moved in so many streams, and return the bytes of one."""
    cdef size_t size = access.last - access.first
    count_words(access, size, streams)
    return size


cdef int copy_part(Access* access) noexcept nogil:
    stream_copy(access.target + access.first, access.source + access.first, count(access, 2))
    return 0


cdef int scale_part(Access* access) noexcept nogil:
    stream_scale(access.target + access.first, access.source + access.first, count(access, 2), access.factor)
    return 0


cdef int add_part(Access* access) noexcept nogil:
    stream_add(access.target + access.first, access.source + access.first, access.second + access.first,
               count(access, 3))
    return 0


cdef int triad_part(Access* access) noexcept nogil:
    stream_triad(access.target + access.first, access.source + access.first, access.second + access.first,
                 count(access, 3), access.factor)
    return 0


cdef int doubles(str name, object memory) except -1:
    """Raise ValueError for items of another type, which would be taken for doubles: bytes may hold them."""
    items(name, memory, "d", f"use float64, or {name}.view(np.uint8)")
    return 0


def copy(target, source, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Copy bytes: ``target[i] = source[i]``.

    Args:
        target: memory that can be written, as long as the source and apart from it.
        source: memory.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.write("target", target)
    this.read("source", source)
    return this.run(copy_part, this.access.size, LINE, sample)


def scale(target, source, factor=3.0, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Multiply numbers of 8 bytes: ``target[i] = factor * source[i]``.

    Args:
        target: memory that can be written, as long as the source and apart from it.
        source: memory with numbers of type double.
        factor: a number.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.access.factor = number("factor", factor)
    doubles("target", target)
    doubles("source", source)
    this.write("target", target)
    this.read("source", source)
    this.divisible("target", WORD)
    return this.run(scale_part, this.access.size, LINE, sample)


def add(target, source, second, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Add numbers of 8 bytes: ``target[i] = source[i] + second[i]``.

    Args:
        target: memory that can be written, as long as the sources and apart from them.
        source: memory with numbers of type double.
        second: the same.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    doubles("target", target)
    doubles("source", source)
    doubles("second", second)
    this.write("target", target)
    this.read("source", source)
    this.read_second("second", second)
    this.divisible("target", WORD)
    return this.run(add_part, this.access.size, LINE, sample)


def triad(target, source, second, factor=3.0, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Multiply and add numbers of 8 bytes: ``target[i] = source[i] + factor * second[i]``.

    Args:
        target: memory that can be written, as long as the sources and apart from them.
        source: memory with numbers of type double.
        second: the same.
        factor: a number.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.access.factor = number("factor", factor)
    doubles("target", target)
    doubles("source", source)
    doubles("second", second)
    this.write("target", target)
    this.read("source", source)
    this.read_second("second", second)
    this.divisible("target", WORD)
    return this.run(triad_part, this.access.size, LINE, sample)
