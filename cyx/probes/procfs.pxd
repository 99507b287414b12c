# cython: language_level=3
"""Readings of /proc/self that neither allocate nor touch Python objects."""

cdef struct Statm:
    long resident  # pages
    long shared    # pages of files and shared memory among them

cdef struct Status:
    long high_water_mark  # bytes
    long threads

cdef int read_statm(Statm* into) noexcept nogil
cdef int read_status(Status* into) noexcept nogil
cdef int reset_high_water_mark() noexcept nogil
cdef int clear_referenced() noexcept nogil
cdef void prepare() noexcept nogil
cdef long page_size() noexcept nogil
