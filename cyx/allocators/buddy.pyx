# cython: language_level=3, embedsignature=True
"""Blocks of powers of two, split and joined again."""

from libc.stdint cimport uintptr_t

from cyx.allocators.allocator cimport Allocator, to_size


cdef class Buddy(Allocator):
    """Blocks of 32 bytes, 64, 128 ... up to its whole memory, each at a multiple of its size (of 1 MiB beyond that).

    A block is split in halves until it fits, and joined with its other half when both are free: what was freed
    serves blocks of any size again. No block has a header; beside the blocks it needs a byte for each 32 of them.
    ``size``: it maps so many bytes (rounded up to 4 KiB), and no more. ``memory`` (a ``cyx.region.Region`` or
    another writable buffer): it lives in that and ends with it. Neither: it grows by mappings of its own. In memory
    that does not begin at a multiple of 1 MiB the largest block may be a half or less of it. ``checked``: wrong uses
    of blocks are found.
    """

    def __cinit__(self, *, size=None, memory=None, checked=False):
        cdef size_t room
        if size is not None and memory is not None:
            raise TypeError("size or memory: given memory has its size")
        address, given = self.range_of(memory)
        if memory is not None and given < 64:
            raise ValueError(f"memory={memory!r}: at least 64 bytes are needed")
        room = given
        if size is not None:
            room = to_size(size)
            if room == 0:
                raise ValueError("size=0: at least 1 byte, or None for memory that grows")
        if not buddy_make(&self.buddy, <void*><uintptr_t>address, room):
            raise MemoryError(f"buddy: no memory for {room} bytes")
        self.adopt(&BUDDY, &self.buddy, buddy_largest(&self.buddy), checked, False, 0)

    def __dealloc__(self):
        buddy_unmake(&self.buddy)
