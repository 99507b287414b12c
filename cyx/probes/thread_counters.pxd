# cython: language_level=3
"""What threads hold back of the kernel's resident-set counters before Linux 6.2."""

cdef void prepare() noexcept nogil
cdef bint hold_back() noexcept nogil
cdef void add_up() noexcept nogil
cdef long most_held(long threads, long faults) noexcept nogil
