# cython: language_level=3, embedsignature=True
"""What all allocators share: views that keep their block alive, statistics, and the checked mode."""

cimport cython
from cpython.buffer cimport PyBUF_FULL_RO, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.memoryview cimport PyMemoryView_GET_BUFFER
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

    void checked_make(checked_state* checked, handle inner, int knows, size_t before, memory_state* memory)
    void checked_unmake(checked_state* checked)
    size_t checked_size(size_t size, size_t alignment)

cdef extern from "memory.h" nogil:
    void memory_limit(memory_state* memory, long times)

cdef extern from "lock.h" nogil:
    const allocator LOCKED
    ctypedef struct atomic_flag:
        pass

    struct locked:
        atomic_flag taken

    void lock_flag(atomic_flag* flag)
    void unlock_flag(atomic_flag* flag)
    void locked_make(locked* locked, handle inner)
    void locked_unmake(locked* locked)
    void lock_all() noexcept
    void unlock_all() noexcept

cdef extern from "Python.h":
    ctypedef struct ManagedBuffer "_PyManagedBufferObject":
        Py_ssize_t exports  # memoryviews made of one another share it

    ctypedef struct MemoryView "PyMemoryViewObject":
        ManagedBuffer* mbuf
        Py_ssize_t exports

cdef enum:
    MOST_CLASSES = 256
    HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE

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
    if not hasattr(size, "__index__") or not 0 <= size <= 1 << 62:
        raise ValueError(f"size={size!r}: a whole number of bytes, 0 or more, is needed")
    return size


cdef size_t to_alignment(alignment) except 0:
    if not hasattr(alignment, "__index__") or not 1 <= alignment <= MOST_ALIGNMENT or alignment & (alignment - 1):
        raise ValueError(f"alignment={alignment!r}: a power of two up to {MOST_ALIGNMENT} is needed")
    return alignment


@cython.no_gc_clear  # it needs its owner when it goes, also as a part of a cycle
cdef class Block:
    """Bytes of an allocator behind a memoryview; they go back when the last view of them goes, or by ``free``."""

    def __init__(self):
        raise TypeError("blocks come from allocate()")

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        if self.address == NULL:
            raise BufferError("this block has gone back to its allocator: allocate another one")
        PyBuffer_FillInfo(buffer, self, self.address, <Py_ssize_t>self.size, 0, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* buffer):
        self.exports -= 1

    def __dealloc__(self):
        if self.address != NULL:
            self.give_back()

    cdef void let_go(self) noexcept:
        """Have nothing to do with the bytes any more."""
        self.address = NULL
        self.owner.held[self.depth] -= 1

    cdef void give_back(self) noexcept:
        cdef void* address = self.address
        self.let_go()
        handle_release(&self.owner.handle, address)


@cython.no_gc_clear  # what it lives in is needed until its last block has gone
cdef class Allocator:
    """Memory by ``allocate`` and ``free``; the base of Pool and the others, which say where it comes from.

    Any thread may make any call. ``memory`` is what it was given to live in, or None: then it maps what it needs.
    """

    def __cinit__(self):
        kind = type(self)
        while kind.__flags__ & HEAP_TYPE:  # classes of Python
            kind = kind.__base__
        if kind is Allocator:
            raise TypeError("an Allocator is the base of others: make, or derive from, a Pool, a Frame or another one")
        self.natural = 16
        self.most_alignment = MOST_ALIGNMENT

    def __dealloc__(self):
        if self.lock != NULL:
            locked_unmake(<locked*>self.lock)
            release(self.lock)
        if self.guards != NULL:
            checked_unmake(<checked_state*>self.guards)
            release(self.guards)

    cdef tuple range_of(self, memory):
        """Return address and size of a writable buffer, such as a region: it stays while the allocator does."""
        if memory is None:
            return 0, 0
        try:
            view = memoryview(memory)
        except TypeError:
            raise TypeError(f"memory: {type(memory).__name__} is no cyx.region.Region, nor another buffer") from None
        if view.readonly or not view.c_contiguous or not view.nbytes:
            raise ValueError("memory: at least a byte that is writable, and contiguous, is needed")
        if "O" in view.format:
            raise ValueError("memory: this array holds Python objects, which the blocks would overwrite")
        # A view, not a buffer: the collector cannot clear a view that somebody has a buffer of, and CPython crashes.
        self.lent = view
        self.lender = view.obj
        self.memory = memory
        return <uintptr_t>PyMemoryView_GET_BUFFER(view).buf, view.nbytes

    cdef int adopt(
        self, const allocator* kind, void* state, size_t largest, bint checked, int knows, size_t before,
    ) except -1:
        """Stand before this row and state, with guards where they are wanted, and a lock where it needs one."""
        self.raw.kind = kind
        self.raw.state = state
        self.raw.largest = largest
        cdef handle inner = self.raw
        if checked:
            self.guards = calloc(1, sizeof(checked_state))
            if self.guards == NULL:
                raise MemoryError
            checked_make(<checked_state*>self.guards, self.raw, knows, before, self.spans)
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
        cdef locked* lock = <locked*>self.lock
        cdef corruption found
        cdef uintptr_t place
        if guards == NULL or guards.found == NO_CORRUPTION:
            return 0
        lock_flag(&lock.taken)
        found = guards.found
        place = guards.where
        guards.found = NO_CORRUPTION
        unlock_flag(&lock.taken)
        raise Corruption(CORRUPTIONS[<int>found], place)

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

    def allocate(self, size, alignment=None):
        """Return a writable memoryview of ``size`` bytes at a multiple of ``alignment`` bytes.

        What is in it is not defined. It stays valid as long as the view, or anything made of it, is alive, and goes
        back to the allocator then, or by ``free``. The alignment is a power of two up to 1 MiB: 16, unless it is told,
        or the allocator has a smaller one.
        MemoryError: there is none, or more was asked for than ``largest``. ValueError: no such size or alignment.
        Corruption, in checked mode: what was found since the last call, here or before; no block is handed out then.
        """
        cdef size_t boundary = self.boundary(alignment)
        return self.view_of(self.obtained(size, boundary), size, self.depth)

    def malloc(self, size, alignment=None) -> int:
        """As ``allocate``, but return the address: the block is live until ``free(address)``."""
        return <uintptr_t>self.obtained(size, self.boundary(alignment))

    cdef size_t boundary(self, alignment) except 0:
        cdef size_t boundary = self.natural if alignment is None else to_alignment(alignment)
        if boundary > self.most_alignment:
            raise ValueError(f"alignment={alignment}: this {self.name} has {self.most_alignment} at most")
        return boundary

    # All calls keep the GIL: so none comes between a scope's end and the block that is allocated in it.
    cdef void* obtained(self, size, size_t alignment) except NULL:
        cdef size_t bytes = to_size(size)
        return self.handed_out(handle_allocate(&self.handle, bytes, alignment), bytes)

    cdef void* handed_out(self, void* address, size_t size) except NULL:
        """Return the address; raise what was found instead, or that there is no memory."""
        try:
            self.say()
        except Corruption:
            if address != NULL:
                handle_release(&self.handle, address)
            raise
        if address != NULL:
            return address
        limit = f": its blocks have at most {self.handle.largest}" if size > self.handle.largest else ""
        where = "" if self.memory is None else f" in the {self.lent.nbytes} it was given"
        raise MemoryError(f"{self.name}: no memory for {size} bytes{where}{limit}")

    cdef object view_of(self, void* address, size_t size, unsigned depth):
        cdef Block block
        try:
            block = Block.__new__(Block)
        except MemoryError:
            handle_release(&self.handle, address)
            raise
        block.owner = self
        block.address = address
        block.size = size
        block.depth = depth
        self.held[depth] += 1
        return memoryview(block)

    cdef Block alone(self, view):
        """Return the block of a view that is the only one, and not used by an array."""
        cdef Block block
        if not isinstance(view, memoryview):
            raise ValueError(f"{view!r}: a view from allocate(), or an address from malloc(), is needed")
        try:
            whose = view.obj
        except ValueError:
            raise ValueError("this view was released, or its block freed, before") from None
        if not isinstance(whose, Block) or (<Block>whose).owner is not self:
            raise ValueError(f"this view is not one from allocate() of this {self.name}")
        block = whose
        if block.exports > 1 or (<MemoryView*>view).exports or (<MemoryView*>view).mbuf.exports > 1:
            raise BufferError("other views or arrays use the block: it goes back with the last one of them")
        return block

    def free(self, block) -> None:
        """Take back a view from ``allocate``, which is released, or an address from ``malloc``.

        BufferError: something else, such as an array, still uses the block, and nothing has changed. ValueError: it is
        not one of this allocator. Corruption, in checked mode: it is no live block, or bytes beside one were written.
        """
        cdef Block held
        if isinstance(block, int):
            handle_release(&self.handle, <void*><uintptr_t>self.own(block))
        else:
            held = self.alone(block)
            block.release()
            held.give_back()
        self.say()

    def reallocate(self, block, size):
        """Return a view of ``size`` bytes that begin with what the old block holds; an address for an address.

        The old view is released, the old address no longer valid; the alignment stays. MemoryError, BufferError,
        ValueError: as for ``allocate`` and ``free``; the old block is as it was. Corruption, in checked mode: as for
        ``free``; if the old block was live, it is freed, and there is no new one.
        """
        cdef Block held
        cdef void* before
        cdef void* address
        cdef size_t bytes = to_size(size)
        if isinstance(block, int):
            before = <void*><uintptr_t>self.own(block)
            address = self.handle.kind.reallocate(self.handle.state, before, bytes)
            return <uintptr_t>self.handed_out(address, bytes)
        held = self.alone(block)
        before = held.address
        address = self.handle.kind.reallocate(self.handle.state, before, bytes)
        if address != NULL:
            block.release()
            held.let_go()
        self.handed_out(address, bytes)
        return self.view_of(address, bytes, held.depth if address == before else self.depth)

    def own(self, address) -> int:
        """Return the address; ValueError where it lies outside of the allocator, unless checked mode is to say so."""
        if not isinstance(address, int) or not 0 < address < 1 << 64:
            raise ValueError(f"{address!r}: no address")
        if not self.is_checked and not self.owns(address):
            raise ValueError(f"{address:#x} does not belong to this {self.name}")
        return address

    def owns(self, address) -> bool:
        """Tell whether the address, or the view's first byte, lies in this allocator's memory."""
        cdef Py_buffer buffer
        if not isinstance(address, int):
            PyObject_GetBuffer(address, &buffer, PyBUF_FULL_RO)
            address = <uintptr_t>buffer.buf
            PyBuffer_Release(&buffer)
        return 0 <= address < 1 << 64 and bool(self.handle.kind.owns(self.handle.state, <void*><uintptr_t>address))

    def size_of(self, address) -> int:
        """Return how many bytes of the live block at this address may be used."""
        size = self.handle.kind.size_of(self.handle.state, <void*><uintptr_t>self.own(address))
        self.say()
        return size

    def reset(self) -> None:
        """Take all blocks back at once, and end all scopes.

        BufferError: a view or an array still uses one. TypeError: it cannot do that. Corruption, in checked mode: what
        was found in the last look at them; they are taken back all the same.
        """
        if self.raw.kind.reset == NULL:
            raise TypeError(f"a {self.name} cannot be reset: free its blocks")
        self.refuse_while_used(0)
        self.handle.kind.reset(self.handle.state)
        self.depth = 0
        self.say()

    cdef int refuse_while_used(self, unsigned depth) except -1:
        """Raise BufferError where a view is alive of a block of a scope from this depth on."""
        if depth == 0 and self.hooked != NULL and self.hooked[0]:
            raise BufferError(
                f"{self.hooked[0]} blocks of this {self.name} are alive in Python or NumPy: let go of them first"
            )
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

    def limit_growth(self, times) -> None:
        """Let it take memory from the system only so many times more; None: as often as it needs.

        It is for tests of what a program does without memory: MemoryError, and all is as it was. TypeError: it has no
        such limit. ValueError: no number of times.
        """
        if self.spans == NULL:
            raise TypeError(f"the growth of a {self.name} cannot be limited")
        if times is not None and not (isinstance(times, int) and 0 <= times < 1 << 30):
            raise ValueError(f"times={times!r}: 0 or more, or None, is needed")
        memory_limit(self.spans, -1 if times is None else times)

    def check(self) -> None:
        """Hold it to its invariants and, in checked mode, look at the guards of all blocks.

        Corruption: a block was used wrongly. RuntimeError: an invariant does not hold.
        """
        cdef const char* invalid = self.handle.kind.invalid(self.handle.state)
        self.say()
        if invalid != NULL:
            raise RuntimeError(f"this {self.name} was overwritten: {invalid.decode()}")
