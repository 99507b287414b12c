# cython: language_level=3
"""The interface of all allocators, for Cython code: headers are in ``cyx.allocators.get_include()``.

``handle_allocate(&allocator.handle, size, alignment)`` and ``handle_release(&allocator.handle, block)`` may be called
by any thread, without the GIL, while something keeps the allocator alive.
"""

cdef extern from "allocator.h" nogil:
    struct statistics:
        size_t live_blocks
        size_t live
        size_t allocations
        size_t allocated
        size_t granted
        size_t peak
        size_t reserved
        size_t free
        size_t largest_free

    struct size_class:
        size_t size
        size_t live_blocks
        size_t free_blocks

    struct allocator:
        const char* name
        void* (*allocate)(void* state, size_t size, size_t alignment) noexcept
        void (*release)(void* state, void* block) noexcept
        void* (*reallocate)(void* state, void* block, size_t size) noexcept
        size_t (*size_of)(void* state, const void* block) noexcept
        int (*owns)(void* state, const void* pointer) noexcept
        void (*reset)(void* state) noexcept
        int (*begin)(void* state) noexcept
        void (*end)(void* state) noexcept
        void (*read)(void* state, statistics* statistics) noexcept
        int (*classes)(void* state, size_class* rows, int room) noexcept
        const char* (*invalid)(void* state) noexcept
        int any_thread

    struct handle:
        const allocator* kind
        void* state
        size_t largest

    void* handle_allocate(const handle* handle, size_t size, size_t alignment) noexcept
    void handle_release(const handle* handle, void* block) noexcept

cdef extern from "memory.h" nogil:
    ctypedef struct memory_state "struct memory":
        pass

cdef extern from "checked.h" nogil:
    ctypedef enum checked_memory "enum checked_memory":
        CHECKED_FORGETS
        CHECKED_CLEARS
        CHECKED_REMEMBERS

cdef size_t to_size(size) except? 0
cdef size_t to_alignment(alignment) except 0


cdef class Block


cdef class Allocator:
    cdef handle handle          # for any thread
    cdef handle raw             # the allocator itself: one thread at a time, unless its row says otherwise
    cdef void* guards           # a struct checked and a struct locked, or NULL
    cdef void* lock
    cdef readonly bint is_checked
    cdef readonly object memory  # what it was given to live in, or None
    cdef object lent            # a view of that, so that it stays where it is
    cdef object lender          # whose bytes they are: the collector of cycles may release the view before us
    cdef memory_state* spans    # set before adopt: what limit_growth limits; or NULL
    cdef size_t natural         # alignment of a block for which none is asked
    cdef size_t most_alignment
    cdef Py_ssize_t[65] held    # by scope: blocks of it that a view still holds
    cdef size_t* hooked         # how many blocks Python and NumPy have of it, where hooks send them here
    cdef unsigned depth         # scopes open
    cdef object __weakref__

    cdef int adopt(
        self, const allocator* kind, void* state, size_t largest, bint checked, int knows, size_t before,
    ) except -1
    cdef int say(self) except -1
    cdef tuple range_of(self, memory)
    cdef int refuse_while_used(self, unsigned depth) except -1
    cdef size_t boundary(self, alignment) except 0
    cdef void* obtained(self, size, size_t alignment) except NULL
    cdef void* handed_out(self, void* address, size_t size) except NULL
    cdef object view_of(self, void* address, size_t size, unsigned depth)
    cdef Block alone(self, view)


cdef class Block:
    cdef Allocator owner
    cdef void* address
    cdef size_t size
    cdef Py_ssize_t exports
    cdef unsigned depth

    cdef void let_go(self) noexcept
    cdef void give_back(self) noexcept
