# cython: language_level=3, embedsignature=True, cdivision=True
"""Gather and scatter: words at places that a list of indexes names."""

from libc.stdint cimport int64_t, uint64_t

from cyx.patterns.arguments cimport WORD, items
from cyx.patterns.running cimport SAMPLES, Access, Pass, sample, spread

cdef extern from "indexed.h" nogil:
    ctypedef uint64_t word
    uint64_t first_beyond(const unsigned char* index, size_t count, size_t items)
    void gather_words(unsigned char* target, const unsigned char* source, const unsigned char* index, size_t first,
                      size_t last)
    void scatter_words(unsigned char* target, const unsigned char* source, const unsigned char* index, size_t first,
                       size_t last)


cdef int gather_part(Access* access) noexcept nogil:
    access.accesses = access.last - access.first
    access.bytes = 3 * WORD * access.accesses
    gather_words(access.target, access.source, access.second, access.first, access.last)
    return 0


cdef int scatter_part(Access* access) noexcept nogil:
    access.accesses = access.last - access.first
    access.bytes = 3 * WORD * access.accesses
    scatter_words(access.target, access.source, access.second, access.first, access.last)
    return 0


cdef int find_beyond(Access* access) noexcept nogil:
    access.checksum = first_beyond(access.second, access.size // WORD, access.count)
    return 0


cdef int sample_scattered(Access* access) noexcept nogil:
    """Sum up words that were written, so that no other page is touched."""
    cdef const word* index = <const word*>access.second
    cdef const word* target = <const word*>access.target
    cdef size_t i
    access.checksum = 0
    if access.size:
        for i in range(SAMPLES):
            access.checksum += target[index[spread(access.size // WORD - 1, i)]]
    return 0


cdef int word_at(Access* access) noexcept nogil:
    access.checksum = (<const word*>access.second)[access.count]
    return 0


cdef int take_index(Pass this, object index, str table) except -1:
    """Take the indexes, which must all be of the table. To be taken last."""
    cdef size_t words = this.access.count
    cdef uint64_t beyond
    cdef uint64_t item
    letter = items("index", index, "qQlLnN", "give whole numbers of 8 bytes")
    this.read_second("index", index)
    this.divisible("index", WORD)
    beyond = this.look(find_beyond)
    if beyond:
        this.access.count = beyond - 1
        item = this.look(word_at)
        negative = letter in ("q", "l", "n") and <int64_t>item < 0
        found = f"{<int64_t>item}, which is negative" if negative else f"{item}"
        raise ValueError(f"index: item {beyond - 1} is {found}: give numbers below {words}, the words of {table}")
    return 0


def gather(target, source, index, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Read words at places from all over: ``target[i] = source[index[i]]``.

    The bytes are those of the index, of what is read and of what is written; an access is a word written.

    Args:
        target: memory that can be written, as long as the index.
        source: memory, of which words of 8 bytes are taken, all of it.
        index: whole numbers of 8 bytes, each below the number of words of the source; that is checked beforehand.
        offset: of the first byte in target and index.
        length: bytes of both from there on; without it, all that follow.
        threads: that share the work, each a stretch of the target.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.write("target", target)
    this.access.source = this.take("source", source, False, True)
    this.access.count = this.taken // WORD
    take_index(this, index, "source")
    return this.run(gather_part, this.access.size // WORD, 8, sample)


def scatter(target, source, index, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Write words to places all over: ``target[index[i]] = source[i]``.

    The bytes are those of the index, of what is read and of what is written; an access is a word written. Where an
    index comes twice, the later one is written last by one thread; by several, any of them.

    Args:
        target: memory that can be written, in words of 8 bytes, all of it.
        source: memory, as long as the index.
        index: whole numbers of 8 bytes, each below the number of words of the target; that is checked beforehand.
        offset: of the first byte in source and index.
        length: bytes of both from there on; without it, all that follow.
        threads: that share the work, each a stretch of the source.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.access.target = this.take("target", target, True, True)
    this.access.count = this.taken // WORD
    this.read("source", source)
    take_index(this, index, "target")
    return this.run(scatter_part, this.access.size // WORD, 8, sample_scattered)
