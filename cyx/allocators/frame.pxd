# cython: language_level=3
"""``frame_take`` and ``frame_reset`` are for one thread at a time, without a lock and without checks."""

from cyx.allocators.allocator cimport Allocator, allocator, memory_state

cdef extern from "frame.h" nogil:
    ctypedef struct frame_state "struct frame":
        memory_state memory

    size_t FRAME_HEADER
    size_t frame_live_within(const frame_state* frame, int scope)
    const allocator FRAME
    void frame_make(frame_state* frame, void* given, size_t room)
    void frame_unmake(frame_state* frame)
    void* frame_take(frame_state* frame, size_t size, size_t alignment)
    void frame_reset(void* frame) noexcept
    void frame_release(void* frame, void* block) noexcept
    int frame_begin(void* frame) noexcept
    void frame_end(void* frame) noexcept


cdef class Frame(Allocator):
    cdef frame_state frame
    cdef unsigned long long begun        # scopes ever
    cdef unsigned long long[65] scopes   # by depth: which one is open there
