# cython: language_level=3, embedsignature=True
"""What all allocators share: views that keep their block alive, statistics, and the checked mode."""

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc
from libc.stdlib cimport free as release
from libc.string cimport memset

from cyx.allocators.statistics import SizeClass, Statistics

cdef extern from "<pthread.h>" nogil:
    int pthread_atfork(void (*prepare)() noexcept, void (*parent)() noexcept, void (*child)() noexcept)

cdef extern from "checked.h" nogil:
    const allocator CHECKED
    enum corruption:
        NO_CORRUPTION
        DOUBLE_FREE
        FOREIGN_POINTER
        INTERIOR_POINTER
        OVERRUN
        UNDERRUN
        USE_AFTER_FREE
        USE_AFTER_RESET

    ctypedef struct checked_state "struct checked":
        size_t corruptions
        corruption found
        uintptr_t where "where"

    void checked_make(checked_state* checked, handle inner, int clears, size_t before)
    void checked_unmake(checked_state* checked)
    size_t checked_size(size_t size, size_t alignment)

cdef extern from "lock.h" nogil:
    const allocator LOCKED

    struct locked:
        pass

    void locked_make(locked* locked, handle inner)
    void locked_unmake(locked* locked)
    void lock_all() noexcept
    void unlock_all() noexcept

cdef enum:
    MOST_CLASSES = 256

CORRUPTIONS = {
    <int>DOUBLE_FREE: "was freed twice",
    <int>FOREIGN_POINTER: "does not belong to this allocator",
    <int>INTERIOR_POINTER: "is not the beginning of a block",
    <int>OVERRUN: "was written beyond its end",
    <int>UNDERRUN: "was written before its beginning",
    <int>USE_AFTER_FREE: "was written after it was freed",
    <int>USE_AFTER_RESET: "was used after it was taken back",
}
MOST_ALIGNMENT = 1 << 20

if pthread_atfork(lock_all, unlock_all, unlock_all):
    raise MemoryError("pthread_atfork")


class Corruption(RuntimeError):
    """Checked mode found a wrong use of a block: ``address`` is the block's, ``wrong`` says what was done to it."""

    def __init__(self, wrong: str, address: int) -> None:
        super().__init__(f"the block at {address:#x} {wrong}")
        self.wrong = wrong
        self.address = address


cdef size_t to_size(size) except? 0:
    if not isinstance(size, int) or not 0 <= size <= 1 << 62:
        raise ValueError(f"size={size!r}: bytes, 0 or more")
    return size


cdef size_t to_alignment(alignment) except 0:
    if not isinstance(alignment, int) or not 1 <= alignment <= MOST_ALIGNMENT or alignment & (alignment - 1):
        raise ValueError(f"alignment={alignment!r}: a power of two up to {MOST_ALIGNMENT}")
    return alignment


cdef class Block:
    """Bytes of an allocator behind a memoryview; they go back when the last view of them goes, or by ``free``."""

    def __cinit__(self):
        self.address = NULL

    def __init__(self):
        raise TypeError("blocks come from allocate()")

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.address, <Py_ssize_t>self.size, 0, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* buffer):
        self.exports -= 1

    def __dealloc__(self):
        if self.address != NULL:
            self.owner.held[self.depth] -= 1
            handle_release(&self.owner.handle, self.address)

    cdef int give_back(self) except -1:
        cdef void* address = self.address
        self.address = NULL
        self.size = 0
        self.owner.held[self.depth] -= 1
        handle_release(&self.owner.handle, address)
        return self.owner.say()


cdef class Allocator:
    """Memory by ``allocate`` and ``free``; the base of Pool and the others, which say where it comes from.

    ``memory`` is the region that it lives in, or None: then it maps what it needs.
    """

    def __dealloc__(self):
        if self.lock != NULL:
            locked_unmake(<locked*>self.lock)
            release(self.lock)
        if self.guards != NULL:
            checked_unmake(<checked_state*>self.guards)
            release(self.guards)

    cdef tuple range_of(self, memory):
        """Return address and size of a writable buffer, such as a ``cyx.region.Region``; it stays alive with the allocator."""
        if memory is None:
            return 0, 0
        view = memoryview(memory)
        if view.readonly or not view.contiguous:
            raise ValueError(f"memory={memory!r}: writable and contiguous memory is needed")
        cdef Py_buffer buffer
        PyObject_GetBuffer(view, &buffer, PyBUF_WRITABLE)
        try:
            self.memory = view
            self.begin = <uintptr_t>buffer.buf
            return <uintptr_t>buffer.buf, <size_t>buffer.len
        finally:
            PyBuffer_Release(&buffer)

    cdef int adopt(self, const allocator* kind, void* state, size_t largest, bint checked, bint clears, size_t before) except -1:
        """Stand before this row and state, with guards where they are wanted, and a lock where it needs one."""
        self.raw.kind = kind
        self.raw.state = state
        self.raw.largest = largest
        cdef handle inner = self.raw
        if checked:
            self.guards = calloc(1, sizeof(checked_state))
            if self.guards == NULL:
                raise MemoryError
            checked_make(<checked_state*>self.guards, self.raw, clears, before)
            self.is_checked = True
            inner.kind = &CHECKED
            inner.state = self.guards
            inner.largest = max(largest, checked_size(0, 16)) - checked_size(0, 16)
        if checked or not kind.any_thread:
            self.lock = calloc(1, sizeof(locked))
            if self.lock == NULL:
                raise MemoryError
            locked_make(<locked*>self.lock, inner)
            inner.kind = &LOCKED
            inner.state = self.lock
        self.handle = inner
        return 0

    cdef int say(self) except -1:
        """Raise what checked mode found since it was asked the last time."""
        cdef checked_state* guards = <checked_state*>self.guards
        cdef corruption found
        if guards == NULL or guards.found == NO_CORRUPTION:
            return 0
        found = guards.found
        guards.found = NO_CORRUPTION
        raise Corruption(CORRUPTIONS[<int>found], guards.where)

    @property
    def name(self) -> str:
        """What it is: "pool", "frame" ..."""
        return self.raw.kind.name.decode()

    @property
    def largest(self) -> int:
        """Bytes of the largest block that it ever gives."""
        return self.handle.largest

    @property
    def views(self) -> int:
        """How many blocks from ``allocate`` some view or array still holds."""
        return sum([self.held[i] for i in range(self.depth + 1)])

    @property
    def corruptions(self) -> int:
        """How many wrong uses checked mode has found so far."""
        return (<checked_state*>self.guards).corruptions if self.guards != NULL else 0

    def allocate(self, size, alignment=16):
        """Return a writable memoryview of ``size`` bytes at a multiple of ``alignment`` bytes (a power of two, at most 1 MiB).

        What is in it is not defined. It stays valid as long as the view, or anything made of it, is alive, and goes
        back to the allocator then, or by ``free``. MemoryError: there is none, or more was asked for than ``largest``.
        """
        cdef Block block = Block.__new__(Block)
        block.owner = self
        block.address = <void*><uintptr_t>self.malloc(size, alignment)
        block.size = size
        block.depth = self.depth
        self.held[block.depth] += 1
        return memoryview(block)

    def malloc(self, size, alignment=16) -> int:
        """As ``allocate``, but return the address: the block is live until ``free(address)``."""
        cdef size_t bytes = to_size(size)
        cdef size_t boundary = to_alignment(alignment)
        cdef void* address
        with nogil:
            address = handle_allocate(&self.handle, bytes, boundary)
        self.say()
        if address == NULL:
            limit = f": its blocks have at most {self.handle.largest}" if bytes > self.handle.largest else ""
            raise MemoryError(f"{self.name}: no memory for {size} bytes at a multiple of {alignment}{limit}")
        return <uintptr_t>address

    def free(self, block) -> None:
        """Take back a view from ``allocate``, which is released, or an address from ``malloc``.

        BufferError: something else, such as an array, still uses the block. ValueError: it is not one of this allocator.
        Corruption, in checked mode: it is no live block, or bytes beside it were written.
        """
        cdef Block held
        cdef uintptr_t address
        if isinstance(block, int):
            address = self.own(block)
            handle_release(&self.handle, <void*>address)
            self.say()
            return
        if not isinstance(block, memoryview) or not isinstance(block.obj, Block) or (<Block>block.obj).owner is not self:
            raise ValueError(f"{block!r}: a view from allocate() of this {self.name}, or an address from malloc(), is needed")
        held = block.obj
        block.release()
        if held.exports:
            raise BufferError("another view of the block is alive: the block goes back with the last one")
        held.give_back()

    def reallocate(self, block, size):
        """Return a view of a new block that begins with what the old one holds, or a new address for an address.

        The old view is released. MemoryError, BufferError, ValueError: as for ``allocate`` and ``free``; the old block is as it was.
        """
        cdef void* moved
        if isinstance(block, int):
            moved = self.handle.kind.reallocate(self.handle.state, <void*><uintptr_t>self.own(block), to_size(size))
            self.say()
            if moved == NULL:
                raise MemoryError(f"{self.name}: no memory for {size} bytes")
            return <uintptr_t>moved
        if not isinstance(block, memoryview):
            raise ValueError(f"{block!r}: a view from allocate() or an address from malloc() is needed")
        view = self.allocate(size)
        kept = min(len(view), block.nbytes)
        view[:kept] = block.cast("B")[:kept]
        self.free(block)
        return view

    def own(self, address) -> int:
        """Return the address; ValueError where it lies outside of this allocator, unless checked mode is to say so."""
        if not isinstance(address, int) or not 0 < address < 1 << 64:
            raise ValueError(f"{address!r}: no address")
        if not self.is_checked and not self.owns(address):
            raise ValueError(f"{address:#x} does not belong to this {self.name}")
        return address

    def owns(self, address) -> bool:
        """Tell whether the address, or the view's first byte, lies in this allocator's memory."""
        cdef Py_buffer buffer
        if not isinstance(address, int):
            PyObject_GetBuffer(address, &buffer, 0)
            address = <uintptr_t>buffer.buf
            PyBuffer_Release(&buffer)
        return bool(self.handle.kind.owns(self.handle.state, <void*><uintptr_t>address))

    def size_of(self, address) -> int:
        """Return how many bytes of the live block at this address may be used."""
        size = self.handle.kind.size_of(self.handle.state, <void*><uintptr_t>self.own(address))
        self.say()
        return size

    def reset(self) -> None:
        """Take all blocks back at once. BufferError: a view or an array still uses one. TypeError: it cannot do that."""
        if self.raw.kind.reset == NULL:
            raise TypeError(f"a {self.name} cannot be reset: free its blocks")
        self.refuse_while_used(0)
        self.handle.kind.reset(self.handle.state)
        self.depth = 0
        self.say()

    cdef int refuse_while_used(self, unsigned depth) except -1:
        """Raise BufferError where a view is alive of a block that would be taken back with the scopes from this depth on."""
        if depth == 0 and self.lent != NULL and self.lent[0]:
            raise BufferError(f"{self.lent[0]} blocks of this {self.name} are alive in Python or NumPy: let go of them first")
        used = sum([self.held[i] for i in range(depth, self.depth + 1)])
        if used:
            raise BufferError(f"views of {used} blocks of this {self.name} are alive: let go of them first")
        return 0

    @property
    def statistics(self):
        """A ``Statistics``: bytes live, at their peak, reserved; fragmentation; blocks by size."""
        cdef statistics now
        cdef size_class[MOST_CLASSES] rows
        cdef int count
        memset(&now, 0, sizeof(now))
        self.handle.kind.read(self.handle.state, &now)
        count = min(self.handle.kind.classes(self.handle.state, rows, MOST_CLASSES), <int>MOST_CLASSES)
        classes = tuple(SizeClass(rows[i].size, rows[i].live_blocks, rows[i].free_blocks) for i in range(count))
        return Statistics(
            now.live_blocks, now.live, now.allocations, now.allocated, now.granted, now.peak, now.reserved, now.free,
            now.largest_free, classes,
        )

    def check(self) -> None:
        """Hold it to its invariants and, in checked mode, look at the guards of all blocks. Corruption: what is wrong."""
        cdef const char* invalid = self.handle.kind.invalid(self.handle.state)
        self.say()
        if invalid != NULL:
            raise Corruption(f"of {self.name} is not valid: {invalid.decode()}", <uintptr_t>self.raw.state)
