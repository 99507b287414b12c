# cython: language_level=3, embedsignature=True
"""Blocks of one size."""

from libc.stdint cimport uintptr_t

from cyx.allocators.allocator cimport Allocator, allocator, to_alignment, to_size

cdef extern from "checked.h" nogil:
    size_t checked_front(size_t alignment)
    size_t checked_size(size_t size, size_t alignment)


cdef class Pool(Allocator):
    """Blocks of ``block`` bytes at multiples of ``alignment``: a few instructions each way, and no fragmentation.

    It grows by mappings of its own, unless ``memory`` (a ``cyx.region.Region`` or another writable buffer) is given:
    then it lives in that and ends with it. ``checked``: wrong uses of blocks are found (``Corruption``), for some
    100 bytes and a microsecond a block. Smaller blocks than asked for serve too; larger ones are a MemoryError.
    """

    def __cinit__(self, block, *, alignment=16, memory=None, checked=False):
        cdef size_t size = to_size(block)
        cdef size_t boundary = to_alignment(alignment)
        if size == 0 or size > 1 << 40:
            raise ValueError(f"block={block!r}: from 1 byte to 1 TiB")
        address, room = self.range_of(memory)
        if checked:
            boundary = checked_front(boundary)
            size = checked_size(size, boundary)
        pool_make(&self.pool, size, boundary, <void*><uintptr_t>address, room)
        self.adopt(&POOL, &self.pool, self.pool.stride, checked, False, 0)

    def __dealloc__(self):
        pool_unmake(&self.pool)

    @property
    def block(self) -> int:
        """Bytes from one block to the next: what was asked for, rounded up to the alignment, and the guards."""
        return self.pool.stride
