# cython: language_level=3, embedsignature=True, binding=False
"""Packets of any size, first in and first out, between threads that wait for nobody."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uintptr_t

from cyx.allocators.allocator cimport Allocator, Block, allocator, to_size

cdef enum:
    LINE = 128


cdef bint is_one(str name, how) except -1:
    if how not in ("one", "many"):
        raise ValueError(f"{name}={how!r}: 'one' or 'many'")
    return how == "one"


cdef class Ring(Allocator):
    """Packets in the order of their ``push``, ``capacity`` bytes at a time (rounded up to 64 times a power of two).

    Each is popped once and whole, by one of the consumers; those of one producer come in its order. Nobody waits:
    ``push`` returns False where there is no room, ``pop`` None where there is no packet. Each packet takes a multiple
    of 64 bytes; one that has more than half of the capacity is only sure to fit when the ring is empty.
    ``producers`` and ``consumers``: "one" thread, or "many". ``memory`` (a ``cyx.region.Region`` or another
    writable buffer): it lives in that, with all that it knows; where that is shared, forks of this process
    share the ring.

    As an allocator it gives blocks in a row: ``allocate`` is ``reserve`` with an error where there is no room, and
    what is freed makes room when all before it is freed. A block that is neither committed nor freed holds up the
    packets after it.
    """

    def __cinit__(self, capacity, *, producers="many", consumers="many", memory=None):
        cdef size_t wanted = to_size(capacity)
        cdef bint one_producer = is_one("producers", producers)
        cdef bint one_consumer = is_one("consumers", consumers)
        if not 1 <= wanted <= 1 << 33:
            raise ValueError(f"capacity={capacity!r}: from 1 byte to 8 GiB")
        cdef size_t units = ring_units_for(wanted)
        address, room = self.range_of(memory)
        needed = ring_room(units) + -address % LINE
        if memory is not None and room < needed:
            raise ValueError(f"memory={memory!r}: {needed} bytes are needed for a capacity of {units * 64}")
        if not ring_make(&self.ring, <void*><uintptr_t>address, units, one_producer, one_consumer):
            raise MemoryError(f"ring: no memory for {needed} bytes")
        cdef const allocator* row = &RING_OF_ONE if one_producer or one_consumer else &RING
        self.adopt(row, &self.ring, min(units * 64, RING_MOST), False, False, 0)

    def __dealloc__(self):
        ring_unmake(&self.ring)

    @property
    def capacity(self) -> int:
        """Bytes of packets that it holds, each rounded up to a multiple of 64."""
        return self.ring.units * 64

    cdef bint copy_in(self, packet) except -1:
        cdef Py_buffer buffer
        cdef bint pushed
        cdef Py_ssize_t size
        if PyBytes_CheckExact(packet):
            size = PyBytes_GET_SIZE(packet)
            pushed = ring_push(&self.ring, PyBytes_AS_STRING(packet), size)
        else:
            PyObject_GetBuffer(packet, &buffer, PyBUF_SIMPLE)
            size = buffer.len
            pushed = ring_push(&self.ring, buffer.buf, size)
            PyBuffer_Release(&buffer)
        if not pushed and size > <Py_ssize_t>self.raw.largest:
            raise ValueError(f"a packet of {size} bytes: at most {self.raw.largest} go into this ring")
        return pushed

    def push(self, packet) -> bool:
        """Copy the bytes of a buffer in as a packet. False: there is no room now.

        ValueError: it is larger than the capacity.
        """
        return self.copy_in(packet)

    def push_many(self, packets) -> int:
        """Push packets of an iterable until one does not fit, and return how many went in.

        Of an iterator, the one that did not fit is gone: give a list, and push what is behind the number again.
        """
        cdef Py_ssize_t count = 0
        for packet in packets:
            if not self.copy_in(packet):
                break
            count += 1
        return count

    def pop(self):
        """Return the oldest packet as bytes, or None: there is none now."""
        cdef size_t size
        cdef void* block = ring_take(&self.ring, &size)
        if block == NULL:
            return None
        try:
            return PyBytes_FromStringAndSize(<char*>block, <Py_ssize_t>size)
        finally:
            ring_release(&self.ring, block)

    def pop_many(self, most) -> list:
        """Return the oldest packets, at most so many, as a list of bytes."""
        cdef Py_ssize_t left = to_size(most)
        cdef size_t size
        cdef void* block
        cdef list packets = []
        while left > 0:
            block = ring_take(&self.ring, &size)
            if block == NULL:
                break
            try:
                packets.append(PyBytes_FromStringAndSize(<char*>block, <Py_ssize_t>size))
            finally:
                ring_release(&self.ring, block)
            left -= 1
        return packets

    def reserve(self, size):
        """Return a writable memoryview in the ring for a packet, or None: there is no room now.

        Fill it and ``commit`` it; if it goes without that, it is no packet. ValueError: it is larger than the capacity.
        """
        cdef size_t bytes = to_size(size)
        if bytes > self.raw.largest:
            raise ValueError(f"a packet of {bytes} bytes: at most {self.raw.largest} go into this ring")
        cdef void* block = ring_reserve(&self.ring, bytes, 1)
        return None if block == NULL else self.view_of(block, bytes, self.depth)

    def commit(self, view, size=None) -> None:
        """Let consumers have what ``reserve`` or ``allocate`` gave, or its first ``size`` bytes; the view is released.

        ValueError: it is no such view, or smaller. BufferError: another view or an array still uses it; then it is
        never committed, and makes room when that goes.
        """
        cdef Block held
        cdef void* block
        cdef size_t bytes
        if not isinstance(view, memoryview):
            raise ValueError(f"{view!r}: a view from reserve() of this ring is needed")
        owner = view.obj
        if not isinstance(owner, Block) or (<Block>owner).owner is not self:
            raise ValueError(f"{view!r}: a view from reserve() of this ring is needed")
        held = owner
        if held.address == NULL or not ring_is_allocated(&self.ring, held.address):
            raise ValueError(f"{view!r}: a packet that was taken is not committed again; push a copy of it")
        bytes = held.size if size is None else to_size(size)
        if bytes > held.size:
            raise ValueError(f"size={size!r}: at most the {held.size} bytes that were reserved")
        view.release()
        if held.exports:
            raise BufferError("another view of the block is alive: no packet was made, it goes with the last view")
        block = held.address
        held.address = NULL
        held.size = 0
        self.held[held.depth] -= 1
        ring_publish(&self.ring, block, bytes)

    def take(self):
        """Return the oldest packet as a memoryview in the ring, or None. It makes room when it is freed, or goes."""
        cdef size_t size
        cdef void* block = ring_take(&self.ring, &size)
        return None if block == NULL else self.view_of(block, size, self.depth)
