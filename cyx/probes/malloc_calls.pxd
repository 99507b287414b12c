# cython: language_level=3
"""What goes through malloc in a process that was started with the library that counts it."""

cdef struct Totals:  # since the process started: counts, and bytes
    long mallocs
    long frees
    long reallocs
    long requested
    long live
    long peak
    long small
    long medium
    long large

cdef bint there() noexcept nogil
cdef void begin(Totals* into) noexcept nogil
cdef void read(Totals* into) noexcept nogil
cdef void pause() noexcept nogil
cdef void resume() noexcept nogil
