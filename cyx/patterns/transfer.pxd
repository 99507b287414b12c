# cython: language_level=3
"""What one pass came to."""

from libc.stdint cimport uint64_t


cdef class Transfer:
    cdef readonly uint64_t bytes
    cdef readonly uint64_t accesses
    cdef readonly uint64_t checksum
    cdef readonly long elapsed_ns
