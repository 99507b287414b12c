# cython: language_level=3
"""The one place where a kernel runs: operands, threads, guard and clock."""

from libc.stdint cimport uint64_t, uintptr_t

from cyx.patterns.arguments cimport WORD
from cyx.patterns.transfer cimport Transfer

cdef enum:
    OPERANDS = 4  # as many as a guard has ranges
    LINE = 64     # bytes: threads that write share no cache line
    SAMPLES = 64  # places of a target that its checksum is made of

# What a kernel goes through, and how. Each reads the fields that it has arguments for.
cdef struct Access:
    # Memory from the offset on; NULL where there is none.
    unsigned char* target
    const unsigned char* source
    const unsigned char* second
    size_t size  # of each
    # A file, where source is NULL, and where it begins.
    int fd
    size_t start
    # The steps that this thread does, of those of the whole: bytes, accesses, or whatever the kernel counts.
    size_t first
    size_t last
    # Arguments.
    size_t stride
    size_t count
    uint64_t seed
    uint64_t value
    double factor
    size_t block
    unsigned char* buffer  # of block bytes, for this thread
    void* more
    # What came of it: a kernel sets all three, whatever they were.
    uint64_t bytes
    uint64_t accesses
    uint64_t checksum

# Returns 0 or an errno value; calls nothing of Python and allocates nothing.
ctypedef int (*Kernel)(Access* access) noexcept nogil

cdef struct Part  # a thread's share of a pass


cdef class Pass:
    """One call of a kernel: takes its operands, runs it over its steps, and gives the operands back.

    The GIL is released meanwhile, and the memory cannot be resized or unmapped by its owner.
    """

    cdef Access access
    cdef Part* parts  # one for each thread
    cdef Py_buffer views[OPERANDS]
    cdef int operands
    cdef list names  # of the operands
    cdef object offset
    cdef object length
    cdef bint sized    # by its operands
    cdef size_t taken  # bytes of the operand that was taken last
    cdef size_t threads
    cdef size_t passes
    cdef bint first_touch
    cdef bint anywhere  # it follows pointers that it finds: any address may be its fault

    cdef unsigned char* take(self, str name, object memory, bint write, bint whole_of_it=*) except? NULL
    cdef int read(self, str name, object memory) except -1
    cdef int read_second(self, str name, object memory) except -1
    cdef int read_or_open(self, str name, object source) except -1
    cdef int write(self, str name, object memory) except -1
    cdef int set_size(self, str name, size_t available) except -1
    cdef int divisible(self, str name, size_t unit) except -1
    cdef bint overlaps(self, uintptr_t begin, size_t size) noexcept
    cdef Transfer run(self, Kernel kernel, size_t steps, size_t grain=*, Kernel afterwards=*)
    cdef int run_parts(self) except -1
    cdef uint64_t look(self, Kernel kernel) except? 0
    cdef Transfer sum_of_parts(self)
    cdef int check(self, Part* part) except -1


# The checksum of those that write: the sum of 64 words evenly spread over the target, as it is afterwards.
# Place number i of 64 from 0 to the last, at even distances rounded down.
cdef size_t spread(size_t last, size_t i) noexcept nogil

# The bytes of one stream, or of several as long, and the words of one; the last may be a part of a word.
cdef inline void count_words(Access* access, size_t size, int streams=1) noexcept nogil:
    access.bytes = streams * size
    access.accesses = (size + WORD - 1) // WORD

cdef int sample(Access* access) noexcept nogil
