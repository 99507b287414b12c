# cython: language_level=3, embedsignature=True
"""Blocks of one size."""

from libc.stdint cimport uintptr_t

from cyx.allocators.allocator cimport CHECKED_REMEMBERS, Allocator, to_alignment, to_size

cdef extern from "checked.h" nogil:
    ctypedef struct checked_state "struct checked":
        size_t least

    size_t checked_front(size_t alignment)
    size_t checked_size(size_t size, size_t alignment)


cdef class Pool(Allocator):
    """Blocks of ``block`` bytes at multiples of ``alignment``: a few instructions each way, and no fragmentation.

    It grows by mappings of its own, unless ``memory`` (a ``cyx.region.Region`` or another writable buffer) is given:
    then it lives in that and ends with it. ``checked``: wrong uses of blocks are found (``Corruption``), for some
    200 bytes and less than a microsecond a block. Blocks of fewer bytes are had too; of more: MemoryError.
    """

    def __cinit__(self, block, *, alignment=16, memory=None, checked=False):
        cdef size_t boundary = to_alignment(alignment)
        cdef size_t size, room
        cdef uintptr_t address
        if not hasattr(block, "__index__") or not 1 <= block <= 1 << 40:
            raise ValueError(f"block={block!r}: from 1 byte to 1 TiB is needed")
        size = to_size(block)
        address, room = self.range_of(memory)
        self.natural = min(boundary, 16)
        if checked:
            boundary = checked_front(boundary)
            size = checked_size(size, boundary)
        pool_make(&self.pool, size, boundary, <void*>address, room)
        self.most_alignment = self.pool.alignment
        self.spans = &self.pool.memory
        self.adopt(&POOL, &self.pool, self.pool.stride, checked, CHECKED_REMEMBERS, 0)
        if checked:
            (<checked_state*>self.guards).least = boundary
            self.handle.largest = self.pool.stride - checked_size(0, boundary)

    def __dealloc__(self):
        pool_unmake(&self.pool)

    @property
    def block(self) -> int:
        """Bytes from one block to the next: what was asked for, rounded up to the alignment, and the guards."""
        return self.pool.stride
