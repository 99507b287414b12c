# cython: language_level=3
"""Readings of /proc/self that neither allocate nor touch Python objects."""

cdef struct Statm:
    long resident  # pages
    long shared    # pages of files and shared memory among them

cdef struct Status:  # bytes, but for the last
    long high_water_mark
    long resident
    long anonymous
    long file
    long shared
    long page_tables
    long swapped
    long locked
    long threads

cdef int parse_statm(const char* text, Statm* into) noexcept nogil
cdef int parse_status(const char* text, Status* into) noexcept nogil
cdef int read_statm(Statm* into) noexcept nogil
cdef int read_status(Status* into) noexcept nogil
cdef int read_approximate(long* pages) noexcept nogil
cdef int read_migrations(long* count) noexcept nogil
cdef int count_descriptors(long* count) noexcept nogil
cdef int reset_high_water_mark() noexcept nogil
cdef int clear_referenced() noexcept nogil
cdef void prepare() noexcept nogil
cdef long page_size() noexcept nogil
