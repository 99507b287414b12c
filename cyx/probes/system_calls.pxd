# cython: language_level=3
"""How many system calls the threads of this process enter, without those of the plugin itself."""

cdef enum:
    CALL_KINDS = 5  # all, brk, mmap, munmap, madvise: as in system_calls.h

cdef struct Counts:
    long entered[CALL_KINDS]

cdef int open_events(long tracepoint)
cdef int begin(Counts* into) noexcept nogil
cdef void pause() noexcept nogil
cdef void resume() noexcept nogil
cdef int read_counts(Counts* into) noexcept nogil
cdef void close_events() noexcept nogil
cdef void leave_out(long thread) noexcept nogil
cdef void leave_out_no_more(long thread) noexcept nogil
