# cython: language_level=3
"""Counting for Cython code: begin and end of a stretch, and pauses in it, without Python objects made in between."""

cdef extern from "counts.h" nogil:
    enum:
        COUNTING_CLASSES

    struct counts:
        size_t allocations
        size_t frees
        size_t allocated
        size_t live_blocks
        size_t live
        size_t peak
        size_t[COUNTING_CLASSES] classes
        int lost

cdef void pause() noexcept nogil
cdef void resume() noexcept nogil
cdef bint objects_are_swapped() noexcept nogil


cdef class Counter:
    cdef counts counts
    cdef object handler      # of NumPy, while it counts
    cdef bint running

    cdef int attach(self) except -1
    cdef int begin(self) noexcept nogil
    cdef void end(self) noexcept nogil
    cdef int detach(self) except -1
