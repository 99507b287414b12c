# cython: language_level=3
"""Access patterns over memory or a file: one loop in C for each, without the GIL."""

from libc.stdint cimport uint64_t

cdef struct Access:
    # What is gone through: memory, or the file where memory is NULL.
    const unsigned char* memory
    int fd
    size_t size
    # How; each pattern reads the fields that it has arguments for.
    size_t stride
    size_t count
    uint64_t seed
    size_t block
    unsigned char* buffer  # of block bytes
    # What came of it.
    uint64_t bytes
    uint64_t accesses
    uint64_t checksum

# Returns 0 or an errno value; calls nothing of Python and allocates nothing.
ctypedef int (*Kernel)(Access* access) noexcept nogil

cdef struct Pattern:
    Kernel over_memory
    Kernel over_file


cdef class Transfer:
    cdef readonly uint64_t bytes
    cdef readonly uint64_t accesses
    cdef readonly uint64_t checksum
    cdef readonly long elapsed_ns


cdef uint64_t random_word(uint64_t seed, uint64_t index) noexcept nogil
