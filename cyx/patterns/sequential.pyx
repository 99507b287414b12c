# cython: language_level=3, embedsignature=True, cdivision=True
"""One stream from its beginning to its end: read, written with one value, filled with random content."""

from libc.stdint cimport uint64_t

from cyx.patterns.arguments cimport LARGEST, WORD, whole
from cyx.patterns.running cimport LINE, Access, Pass, count_words, sample

cdef extern from "sequential.h" nogil:
    uint64_t sum_of_words(const unsigned char* memory, size_t size)
    void write_words(unsigned char* memory, size_t size, uint64_t value)
    void write_stream(unsigned char* memory, size_t size, uint64_t seed, uint64_t index)

cdef extern from "files.h" nogil:
    int read_at(int fd, void* buffer, size_t wanted, size_t offset, size_t* got)

cdef enum:
    FILE_BLOCK = 256 * 1024  # bytes of a call by which scan reads a file: whole words, and little enough for L2


cdef int scan_memory(Access* access) noexcept nogil:
    access.checksum = sum_of_words(access.source + access.first, access.last - access.first)
    count_words(access, access.last - access.first)
    return 0


cdef int scan_file(Access* access) noexcept nogil:
    cdef size_t offset = access.first
    cdef size_t got
    cdef int error
    access.checksum = 0
    while offset < access.last:
        error = read_at(access.fd, access.buffer, min(access.block, access.last - offset), access.start + offset, &got)
        if error:
            return error
        if got == 0:
            break
        access.checksum += sum_of_words(access.buffer, got)
        offset += got
    count_words(access, offset - access.first)
    return 0


cdef int write_part(Access* access) noexcept nogil:
    write_words(access.target + access.first, access.last - access.first, access.value)
    count_words(access, access.last - access.first)
    return 0


cdef int fill_part(Access* access) noexcept nogil:
    write_stream(access.target + access.first, access.last - access.first, access.seed,
                 access.value + access.first // WORD)
    count_words(access, access.last - access.first)
    return 0


def scan(source, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Read every byte in order; the checksum is the sum of the 8-byte words.

    The bytes behind the last whole word are added one by one; an access is a word.

    Args:
        source: memory or a file, which is read in blocks.
        offset: of the first byte.
        length: bytes from there on; without it, all that follow.
        threads: that share the work, each a stretch of its own.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.read_or_open("source", source)
    if this.access.source == NULL:
        this.access.block = FILE_BLOCK
    return this.run(scan_memory if this.access.source != NULL else scan_file, this.access.size, LINE)


def write(target, value=0, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Write one 8-byte word again and again.

    Args:
        target: memory that can be written.
        value: the word, 0 to 2**64 - 1.
        offset: of the first byte.
        length: bytes from there on; without it, all that follow.
        threads: that share the work, each a stretch of its own.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.access.value = whole("value", value, 0, <uint64_t>-1)
    this.write("target", target)
    return this.run(write_part, this.access.size, LINE, sample)


def fill(target, seed=0, start=0, *, offset=0, length=None, threads=1, first_touch=False, passes=1):
    """Fill memory with the bytes from ``start`` on of the random stream that the seed names.

    The stream is the same on every machine, and does not compress. ``start`` lets it be written piece by piece.

    Args:
        target: memory that can be written.
        seed: 0 to 2**64 - 1.
        start: offset of the first byte in the stream, a multiple of 8.
        offset: of the first byte that is written.
        length: bytes from there on; without it, all that follow.
        threads: that share the work, each a stretch of its own.
        first_touch: each thread touches its share of memory before the clock starts.
        passes: over the same memory, one after the other while the clock runs; all of them count.
    """
    cdef Pass this = Pass(offset, length, threads, first_touch, passes)
    this.access.seed = whole("seed", seed, 0, <uint64_t>-1)
    this.access.value = whole("start", start, 0, LARGEST)
    if this.access.value % WORD:
        raise ValueError(f"start={start}: give a multiple of {WORD}")
    this.access.value //= WORD
    this.write("target", target)
    return this.run(fill_part, this.access.size, LINE, sample)
