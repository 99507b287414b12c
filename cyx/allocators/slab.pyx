# cython: language_level=3, embedsignature=True
"""Blocks of any size, for any threads."""

from libc.stdint cimport uintptr_t

from cyx.allocators.allocator cimport Allocator

cdef extern from "slab.h" nogil:
    size_t slab_largest(const slab_state* heap)


cdef class Slab(Allocator):
    """Blocks of any size for all purposes. Each thread has slabs of its own, so threads seldom wait for each other.

    Blocks up to 64 KiB lie in slabs of blocks of one size, 112 sizes in all; larger ones have pages of their own.
    What is free goes back to the system beyond 8 MiB of slabs and 64 MiB of blocks above 2 MiB, or by ``trim``. It
    grows by mappings of its own, unless ``memory`` (a ``cyx.region.Region`` or another writable buffer, 128 KiB or
    more) is given: then it lives in that and ends with it, and none of that is given back. ``checked``: wrong uses
    of blocks are found (``Corruption``), one thread at a time. After a fork, the child cannot use what was free in
    the slabs of threads that it does not have.
    """

    def __cinit__(self, *, memory=None, checked=False):
        address, room = self.range_of(memory)
        if memory is not None and room < 128 << 10:
            raise ValueError(f"memory={memory!r}: 128 KiB or more are needed")
        if not slab_make(&self.heap, <void*><uintptr_t>address, room, checked):
            if memory is not None:
                raise ValueError(f"memory={memory!r}: 128 KiB from the begin of a page on, or more, are needed")
            raise MemoryError("slab: no memory for its tables")
        self.adopt(&SLAB, &self.heap, slab_largest(&self.heap), checked, False, 0)

    def __dealloc__(self):
        slab_unmake(&self.heap)

    @property
    def overwritten(self) -> int:
        """How many lists of free blocks were found overwritten, and cut off there."""
        return self.heap.overwritten

    def trim(self) -> None:
        """Give free memory back to the system, but for that in slabs with live blocks, or of other live threads."""
        with nogil:
            slab_trim(&self.heap)

    def refuse_spans(self, after) -> None:
        """For tests: let only ``after`` more requests for memory of the system succeed, or all (None)."""
        if after is not None and (not isinstance(after, int) or not 0 <= after < 1 << 62):
            raise ValueError(f"after={after!r}: a number of requests, or None")
        self.heap.memory.refusals = 0 if after is None else after + 1
