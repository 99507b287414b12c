# cython: language_level=3
"""``buddy_allocate`` and ``buddy_release`` are inline: for one thread at a time, without a lock and without checks."""

from cyx.allocators.allocator cimport Allocator, allocator

cdef extern from "buddy.h" nogil:
    ctypedef struct buddy_state "struct buddy":
        pass

    const allocator BUDDY
    int buddy_make(buddy_state* buddy, void* given, size_t room)
    void buddy_unmake(buddy_state* buddy)
    size_t buddy_largest(const buddy_state* buddy)
    void* buddy_allocate(void* buddy, size_t size, size_t alignment)
    void buddy_release(void* buddy, void* block)


cdef class Buddy(Allocator):
    cdef buddy_state buddy
