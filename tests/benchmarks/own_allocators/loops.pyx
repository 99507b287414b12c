# cython: language_level=3
"""The loops of loops.h, without the GIL; built in the run of the benchmark."""

import random

from libc.stdint cimport uint32_t, uint64_t

from cyx.allocators.allocator cimport Allocator, handle

cdef extern from "loops.h" nogil:
    enum:
        BATCH

    struct bench:
        void* state
        handle* handle
        size_t size
        size_t pairs
        const uint32_t* order

    uint64_t run_row(const char* name, int pattern, bench* bench)

PATTERNS = ("pairs", "batch", "random")


def run(str row, str pattern, size_t size, size_t pairs, Allocator own=None):
    """Return nanoseconds for so many pairs of allocate and free of this row's allocator; ``own`` is one of cyx."""
    cdef bench this
    cdef uint32_t[BATCH] order
    cdef int which = PATTERNS.index(pattern)
    cdef int i
    cdef bytes encoded = row.encode()
    cdef const char* name = encoded
    cdef uint64_t taken
    for i, place in enumerate(random.Random(1).sample(range(BATCH), BATCH)):
        order[i] = place
    this.state = NULL
    this.handle = NULL
    if own is not None:
        this.state = own.raw.state
        this.handle = &own.handle
    this.size = size
    this.pairs = pairs
    this.order = order
    with nogil:
        taken = run_row(name, which, &this)
    return taken
