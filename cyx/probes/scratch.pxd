# cython: language_level=3
"""Fresh pages of each type that the kernel counts, to be touched and given back."""

cdef enum:
    TYPES = 3  # anonymous, file, shared memory
    AROUND = 64  # pages that one fault on a file may map (fault_around_bytes), with room

cdef struct Scratch:
    char* start
    long pages
    long used

cdef void open_sources(long pages) noexcept nogil
cdef int map_scratch(int type, long pages, Scratch* scratch) noexcept nogil
cdef void touch(Scratch* scratch, int type) noexcept nogil
cdef void give_back(Scratch* scratch) noexcept nogil
