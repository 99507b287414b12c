# cython: language_level=3
"""The monotonic clock."""

from cyx.linux cimport CLOCK_MONOTONIC, clock_gettime, timespec


cdef inline long now() noexcept nogil:
    """Nanoseconds since some moment in the past."""
    cdef timespec time
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
