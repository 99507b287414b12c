# cython: language_level=3, embedsignature=True
"""Leave no free memory in the heaps but fresh pages.

Blocks that happen to lie free, as many as the imports and set-up before left behind, would serve a test without a
fault, and another number of them after any unrelated edit. So all of them are taken, for good, and what the test asks
for comes from pages that were never touched. The process must be one that ends with the test.

Nothing here may allocate or free on the heaps but what is meant to be taken: a free block that a helper left would be
the very noise that this removes.
"""

from libc.stdlib cimport free, malloc

from cyx.linux cimport _SC_PAGESIZE, sysconf
from cyx.hooks cimport hooks

cdef extern from *:
    """
    #include <malloc.h>
    #include <dlfcn.h>
    #include <stdlib.h>
    #include <unistd.h>
    #if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    #include <gnu/libc-version.h>
    static size_t in_use(void) { struct mallinfo2 found = mallinfo2(); return found.uordblks + found.hblkhd; }

    /* Another malloc may stand in for glibc's, with statistics of its own or without: then a block does not show in the
       C library's. The address of malloc tells nothing: in an executable without PIE it is that of a stub there. */
    static int malloc_is_glibc(void) {
        static int known = -1;
        Dl_info of_statistics, of_libc;
        if (known < 0) {
            size_t before = in_use();
            void *volatile block = malloc(1 << 16); /* volatile, or the compiler leaves the call out */
            known = block != NULL && in_use() >= before + (1 << 16)
                && dladdr((void *)mallinfo2, &of_statistics) && dladdr((void *)gnu_get_libc_version, &of_libc)
                && of_statistics.dli_fbase == of_libc.dli_fbase;
            free(block);
        }
        return known;
    }
    static size_t room_at_top(void) { return mallinfo2().keepcost; }
    #else
    static int malloc_is_glibc(void) { return 0; }
    static size_t room_at_top(void) { return 0; }
    static int malloc_trim(size_t pad) { (void)pad; return 0; }
    #endif
    """
    int malloc_is_glibc() nogil
    size_t room_at_top() nogil
    int malloc_trim(size_t pad) nogil

cdef extern from "<unistd.h>" nogil:
    void* sbrk(long increment)

cdef extern from "Python.h":
    ctypedef struct PyObjectArenaAllocator:
        void* ctx
        void* (*alloc)(void* context, size_t size)
        void (*free)(void* context, void* arena, size_t size)
    void PyObject_GetArenaAllocator(PyObjectArenaAllocator* allocator)
    void PyObject_SetArenaAllocator(PyObjectArenaAllocator* allocator)
    void* PyObject_Malloc(size_t size)
    void PyObject_Free(void* block)

cdef enum:
    ALIGNMENT = 16
    LARGEST_SMALL = 512        # pymalloc serves requests up to this (SMALL_REQUEST_THRESHOLD in Objects/obmalloc.c)
    SMALL_SIZES = 32
    ATTEMPTS = 1 << 20         # blocks asked for before a heap is taken for one that cannot be settled
    LARGEST_CHUNK = 64 * 1024  # below every threshold for mmap; freeing a mapped chunk would raise that threshold
    LARGEST_CACHED = 1032      # a freed chunk up to this goes to a cache of the thread and never back to the heap
    SMALLEST_CHUNK = 24
    CHUNK_OVERHEAD = 8         # bytes of a chunk that are not its block's

cdef PyObjectArenaAllocator original
cdef bint watching = False
cdef size_t page = sysconf(_SC_PAGESIZE)
cdef size_t arena_start = 0
cdef size_t arena_end = 0
cdef void* last[SMALL_SIZES]  # static, as it must lie in neither heap


cdef void* note_arena(void* context, size_t size) noexcept:
    global arena_start, arena_end
    cdef void* arena = original.alloc(original.ctx, size)
    arena_start = <size_t>arena
    arena_end = arena_start + size
    return arena


cdef void pass_arena(void* context, void* arena, size_t size) noexcept:
    original.free(original.ctx, arena, size)


def watch_arenas():
    """Note each new arena of pymalloc from now on; once, in the process whose forks will settle."""
    global watching
    cdef PyObjectArenaAllocator noting
    if watching:
        return
    PyObject_GetArenaAllocator(&original)
    noting.ctx = NULL
    noting.alloc = note_arena
    noting.free = pass_arena
    PyObject_SetArenaAllocator(&noting)
    watching = True


cdef bint take_small_blocks() noexcept:
    """Take every free block of pymalloc. Each size is asked for until a block comes from an arena that is new."""
    global arena_start, arena_end
    cdef Py_ssize_t count = 0
    cdef long attempts = 0
    cdef size_t size = LARGEST_SMALL
    cdef void* block = NULL
    if hooks.objects_are_swapped():
        return False
    arena_start = arena_end = 0
    while size >= ALIGNMENT and attempts < ATTEMPTS:
        while attempts < ATTEMPTS:
            attempts += 1
            block = PyObject_Malloc(size)
            if block == NULL:
                return False
            if arena_start <= <size_t>block < arena_end:
                last[count] = block
                count += 1
                break
        size -= ALIGNMENT
    # The new arena empties and is unmapped: the test starts with one of its own.
    while count:
        count -= 1
        PyObject_Free(last[count])
    return attempts < ATTEMPTS


cdef size_t top_chunk() noexcept:
    """Return where the chunk at the end of the heap begins, from which all that was never used is cut."""
    return <size_t>sbrk(0) - room_at_top()


cdef bint take_chunks() noexcept:
    """Take every free chunk of malloc's main arena, the largest first, so that none can be split for a later one."""
    cdef size_t fresh = top_chunk()
    cdef size_t size = LARGEST_CHUNK
    cdef size_t rest
    cdef long attempts = 0
    cdef void* block = NULL
    while size >= SMALLEST_CHUNK:
        while True:
            attempts += 1
            block = malloc(size)
            if block == NULL or attempts >= ATTEMPTS:
                return False
            if <size_t>block >= fresh:
                break
        if size > LARGEST_CACHED:
            free(block)  # it lay at the end: the heap is as before
            size = max(size * 7 // 8, LARGEST_CACHED)
        else:
            size -= ALIGNMENT
    malloc_trim(0)
    # The rest of the page is taken too: what comes next begins a page, wherever the set-up ended.
    rest = -top_chunk() % page
    if rest:  # kept in a variable, or the compiler leaves the call out
        last[0] = malloc((rest if rest >= SMALLEST_CHUNK + CHUNK_OVERHEAD else rest + page) - CHUNK_OVERHEAD)
    return True


def settle():
    """Take all free memory of pymalloc and malloc and give the rest back to the kernel; return what could not be had.

    Returns 0, or the sum of 1 (pymalloc was not settled: another allocator is set by PYTHONMALLOC or swapped in, or
    ``watch_arenas`` was not called) and 2 (malloc was not: it is not glibc's, or older than 2.33).
    """
    cdef int missing = 0
    if not watching or not take_small_blocks():
        missing += 1
    if not malloc_is_glibc() or not take_chunks():
        missing += 2
    return missing


def trim():
    """Give what is free at the end of malloc's heaps back to the kernel; see malloc_trim(3)."""
    if malloc_is_glibc():
        malloc_trim(0)


def end_of_heap():
    """Return the address from which malloc cuts what it never handed out before; 0 where it is not glibc's."""
    return top_chunk() if malloc_is_glibc() else 0
