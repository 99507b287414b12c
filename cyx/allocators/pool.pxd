# cython: language_level=3
"""``pool_take`` and ``pool_return`` are inline: for one thread at a time, without a lock and without checks."""

from cyx.allocators.allocator cimport Allocator, allocator, memory_state

cdef extern from "pool.h" nogil:
    ctypedef struct pool_state "struct pool":
        size_t stride
        size_t alignment
        memory_state memory

    const allocator POOL
    void pool_make(pool_state* pool, size_t size, size_t alignment, void* given, size_t room)
    void pool_unmake(pool_state* pool)
    void* pool_take(pool_state* pool)
    void pool_return(pool_state* pool, void* block)


cdef class Pool(Allocator):
    cdef pool_state pool
