# cython: language_level=3
"""A heap is called from one module: other modules call ``handle_allocate(&slab.handle, ...)``."""

from cyx.allocators.allocator cimport Allocator, allocator

cdef extern from "slab.h" nogil:
    ctypedef struct slab_memory "struct memory":
        long refusals

    ctypedef struct slab_state "struct slab_heap":
        slab_memory memory
        size_t overwritten

    const allocator SLAB
    int slab_make(slab_state* heap, void* given, size_t size, int guarded)
    void slab_unmake(slab_state* heap)
    void slab_trim(slab_state* heap)


cdef class Slab(Allocator):
    cdef slab_state heap
