# cython: language_level=3, embedsignature=True
"""How many blocks of malloc are in use, and of which sizes: of glibc 2.33 or newer, on 64 bits.

glibc counts bytes only. Blocks are seen on the main heap, one by one, and as the number of those with mappings of their
own; those in the arenas of other threads are not. A freed block that waits in a thread's cache (at most seven of each
size) counts as one in use. Nobody else may allocate on the main heap meanwhile: a walk that goes astray finds nothing.
Only ``by_size`` allocates memory.
"""

from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from cyx import settling

cdef extern from "malloc_blocks.h":
    """
    #define CLASSES 1025
    """
    enum: CLASSES
    enum: CHUNK_ALIGNMENT
    long count_chunks(uintptr_t at, uintptr_t top, long* counts, size_t classes) nogil
    long mapped_chunks() nogil
    long bytes_in_use() nogil

cdef extern from "<unistd.h>" nogil:
    void* sbrk(long increment)

cdef uintptr_t start = 0
cdef long[CLASSES] counts  # static: a walk must not change what it counts


cdef uintptr_t start_of_heap() except? 0:
    """Return where the heap begins: the first chunk lies there, aligned."""
    global start
    if not start:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        start = int(fields[44])  # start_brk, field 47 of proc_pid_stat(5); the name and what is before it are two
        start = (start + CHUNK_ALIGNMENT - 1) // CHUNK_ALIGNMENT * CHUNK_ALIGNMENT
    return start


def count():
    """Return the number of blocks in use; -1 where it cannot be had: another malloc, or a heap that others cut too.

    OSError where /proc is not mounted.
    """
    cdef uintptr_t top = settling.end_of_heap()
    cdef long found = count_chunks(start_of_heap(), top, NULL, 0) if top else -1
    return found if found < 0 else found + mapped_chunks()


def on_main_heap():
    """Tell whether blocks of this thread come from the main heap: glibc leaves it for an arena once it is full."""
    cdef void* block = malloc(64)
    cdef bint is_there = start_of_heap() <= <uintptr_t>block < <uintptr_t>sbrk(0)
    free(block)
    return is_there


def allocated():
    """Return the bytes in use in all arenas and in mappings of their own (mallinfo(3)); -1 where malloc is another."""
    return bytes_in_use() if settling.end_of_heap() else -1


def by_size():
    """Return the number of blocks of the main heap in use by size; empty where it cannot be had.

    The size is that of the chunk in bytes, the 8 of its header with it; from 16 KiB on all are one class.
    """
    cdef uintptr_t top = settling.end_of_heap()
    memset(counts, 0, sizeof(counts))
    if not top or count_chunks(start_of_heap(), top, counts, CLASSES) < 0:
        return {}
    return {i * CHUNK_ALIGNMENT: counts[i] for i in range(CLASSES) if counts[i]}
