# cython: language_level=3
"""What the CPUs hold back of the kernel's resident-set counters."""

from cyx.probes.scratch cimport TYPES

cdef enum:
    ANONYMOUS = 1  # the types of resident pages, as flags
    FILE = 2
    SHARED = 4

cdef struct Pending:       # pages
    long everything        # of all types and CPUs
    long of_type[TYPES]    # on the CPUs that were visited, by type
    int moved              # types whose numbers are not what was left

cdef long batch_pages() noexcept nogil
cdef long cpu_count() noexcept nogil
cdef bint statm_is_exact() noexcept nogil
cdef bint prepare() noexcept nogil
cdef int settle(bint everywhere, Pending* into) noexcept nogil
cdef int charge() noexcept nogil
