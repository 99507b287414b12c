# cython: language_level=3
"""The accessed bits of the pages of this process, by /proc/self/smaps."""

cdef struct Accessed:  # bytes that were touched since the bits were cleared
    long anonymous_low
    long anonymous_high
    long file

cdef int clear_accessed() noexcept nogil
cdef int read_accessed(Accessed* into) noexcept
cdef int learn_idle() except -1
cdef long idle_anonymous() noexcept nogil
