# cython: language_level=3
"""``ring_push`` and the others are inline and need no GIL: for as many threads as the ring was made for.

A producer calls ``ring_push``, or ``ring_reserve`` and ``ring_publish``; a consumer ``ring_take`` and ``ring_release``.
NULL or 0: no room now, or no packet.
"""

from cyx.allocators.allocator cimport Allocator, Block, allocator

cdef extern from "ring.h" nogil:
    ctypedef struct ring_state "struct ring":
        size_t units

    const allocator RING
    const allocator RING_OF_ONE
    const size_t RING_MOST
    size_t ring_units_for(size_t capacity)
    size_t ring_room(size_t units)
    int ring_make(ring_state* ring, void* given, size_t units, int one_producer, int one_consumer)
    void ring_unmake(ring_state* ring)
    int ring_push(ring_state* ring, const void* bytes, size_t size)
    void* ring_reserve(ring_state* ring, size_t size, size_t alignment)
    void ring_publish(ring_state* ring, void* block, size_t size)
    void* ring_take(ring_state* ring, size_t* size)
    void ring_release(ring_state* ring, void* block)
    int ring_is_allocated(const ring_state* ring, const void* block)


cdef class Ring(Allocator):
    cdef ring_state ring

    cdef bint copy_in(self, packet) except -1
