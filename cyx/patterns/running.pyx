# cython: language_level=3
"""The one place where a kernel runs: operands, threads, guard and clock."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from libc.errno cimport EFAULT
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from cyx cimport clock
from cyx.linux cimport _SC_PAGESIZE, sysconf
from cyx.patterns.arguments cimport LARGEST, WORD, descriptor, no_objects, whole
from cyx.patterns.transfer cimport Transfer

import os
import stat

cdef extern from "guard.h" nogil:
    struct guard_range:
        uintptr_t begin
        size_t size

    struct guard:
        guard_range ranges[OPERANDS]
        int count
        int anywhere
        int signal
        uintptr_t address

    void guard_enter()
    void guard_leave()
    int guard_call(guard* guard, int (*work)(void*) noexcept nogil, void* part)
    void guard_in_fork()

cdef extern from "crew.h" nogil:
    struct crew:
        void (*prepare)(void* part) noexcept nogil
        void (*work)(void* part) noexcept nogil

    struct crew_member:
        crew* crew
        void* part

    int crew_run(crew* crew, crew_member* members, int count)

cdef extern from "first_touch.h" nogil:
    void first_touch(unsigned char* memory, size_t begin, size_t end, size_t page, bint write)

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void** memory, size_t alignment, size_t size)

cdef extern from "<pthread.h>" nogil:
    int pthread_atfork(void (*prepare)() noexcept nogil, void (*parent)() noexcept nogil,
                       void (*child)() noexcept nogil)

cdef struct Part:
    Access access
    Kernel kernel
    guard guard
    bint writable[OPERANDS]  # its guarded memory
    size_t steps             # of the whole
    size_t passes
    long begin
    long end
    int error                # 0, an errno value, or -1 for a signal

cdef enum:
    MOST_THREADS = 1024

cdef size_t PAGE = sysconf(_SC_PAGESIZE)

pthread_atfork(NULL, NULL, guard_in_fork)


cdef int sample(Access* access) noexcept nogil:
    cdef size_t i
    cdef uint64_t word
    access.checksum = 0
    if access.size < WORD:
        for i in range(access.size):
            access.checksum += access.target[i]
        return 0
    for i in range(SAMPLES):
        memcpy(&word, access.target + spread(access.size - WORD, i), WORD)
        access.checksum += word
    return 0


cdef size_t spread(size_t last, size_t i) noexcept nogil:
    """Return the i-th of SAMPLES places from 0 to the last, at even distances rounded down."""
    return last // (SAMPLES - 1) * i + last % (SAMPLES - 1) * i // (SAMPLES - 1)


# --- what one thread does --------------------------------------------------------------------------------------------

cdef size_t share(size_t steps, size_t part, size_t parts) noexcept nogil:
    """Return where a part of the steps begins."""
    return steps // parts * part + min(part, steps % parts)


cdef int touch_part(Part* part) noexcept nogil:
    """Touch this thread's share of all memory, so that its pages come to where the thread runs."""
    cdef int i
    cdef guard_range memory
    for i in range(part.guard.count):
        memory = part.guard.ranges[i]
        first_touch(<unsigned char*>memory.begin, <size_t>(<double>memory.size * part.access.first / part.steps),
                    <size_t>(<double>memory.size * part.access.last / part.steps), PAGE, part.writable[i])
    return 0


cdef void prepare(void* argument) noexcept nogil:
    cdef Part* part = <Part*>argument
    if part.steps:
        part.error = guard_call(&part.guard, <int (*)(void*) noexcept nogil>touch_part, part)


cdef int run_part(Part* part) noexcept nogil:
    """Run the kernel over this thread's share, as often as wanted."""
    cdef size_t _pass
    cdef int error = 0
    part.begin = clock.now()
    for _pass in range(part.passes):
        error = part.kernel(&part.access)
        if error:
            break
    part.end = clock.now()
    part.access.bytes *= part.passes
    part.access.accesses *= part.passes
    return error


cdef void work(void* argument) noexcept nogil:
    cdef Part* part = <Part*>argument
    if part.error == 0:
        part.error = guard_call(&part.guard, <int (*)(void*) noexcept nogil>run_part, part)


# --- the pass --------------------------------------------------------------------------------------------------------

cdef class Pass:

    def __cinit__(self, offset, length, threads, first_touch, passes=1):
        self.offset = whole("offset", offset, 0, LARGEST)
        self.length = None if length is None else whole("length", length, 0, LARGEST)
        self.threads = whole("threads", threads, 1, MOST_THREADS)
        self.passes = whole("passes", passes, 1, LARGEST)
        if not isinstance(first_touch, bool):
            raise ValueError(f"first_touch={first_touch!r}: give True or False")
        self.first_touch = first_touch
        self.names = []
        self.access.fd = -1
        self.parts = <Part*>calloc(self.threads, sizeof(Part))
        if self.parts == NULL:
            raise MemoryError(f"threads={threads}")

    def __dealloc__(self):
        cdef size_t i
        if self.parts != NULL:
            for i in range(self.threads):
                free(self.parts[i].access.buffer)
            free(self.parts)
        for i in range(self.operands):
            PyBuffer_Release(&self.views[i])

    cdef int set_size(self, str name, size_t available) except -1:
        """Have the operand give the pass its size, or agree with it."""
        if self.offset > available:
            raise ValueError(f"offset={self.offset}: {name} has {available} bytes")
        available -= self.offset
        if self.length is not None:
            if self.length > available:
                raise ValueError(f"length={self.length}: {name} has {available} bytes from offset {self.offset} on")
            available = self.length
        elif self.sized and available != self.access.size:
            raise ValueError(
                f"{name} has {available} bytes where {self.access.size} are wanted: give equal sizes, or length="
            )
        self.access.size = available
        self.sized = True
        return 0

    cdef unsigned char* take(self, str name, object memory, bint write, bint whole_of_it=False) except? NULL:
        """Return the operand's memory, locked until the pass ends; from the offset on unless all of it is wanted."""
        cdef Py_buffer* view = &self.views[self.operands]
        cdef size_t size
        cdef unsigned char* begin
        cdef Part* part = self.parts
        cdef int i
        if not PyObject_CheckBuffer(memory):
            raise TypeError(
                f"{name} is of type {type(memory).__name__}: "
                "give an object with the buffer protocol, such as a bytearray, an mmap or an array"
            )
        no_objects(name, memory)
        try:
            PyObject_GetBuffer(memory, view, PyBUF_WRITABLE if write else PyBUF_SIMPLE)
        except (BufferError, TypeError, ValueError) as failure:
            verb = "written" if write else "read"
            raise ValueError(f"{name}: its memory cannot be {verb} as one piece ({failure})") from failure
        self.operands += 1
        self.names.append(name)
        begin = <unsigned char*>view.buf
        size = view.len
        if not whole_of_it:
            self.set_size(name, size)
            begin += <size_t>self.offset
            size = self.access.size
        self.taken = size
        i = part.guard.count
        if size and self.access.target != NULL and self.overlaps(<uintptr_t>begin, size):
            raise ValueError(f"{name} overlaps {self.names[0]}: give memory of its own to each")
        part.guard.ranges[i].begin = <uintptr_t>begin
        part.guard.ranges[i].size = size
        part.writable[i] = not view.readonly
        part.guard.count += 1
        return begin

    cdef bint overlaps(self, uintptr_t begin, size_t size) noexcept:
        """Return whether memory shares a byte with the target, which is the first operand where there is one."""
        cdef guard_range target = self.parts.guard.ranges[0]
        return begin < target.begin + target.size and target.begin < begin + size

    cdef int write(self, str name, object memory) except -1:
        """Take the target. Before the sources: they must not overlap it."""
        self.access.target = self.take(name, memory, True)
        return 0

    cdef int read(self, str name, object memory) except -1:
        """Take the source."""
        self.access.source = self.take(name, memory, False)
        return 0

    cdef int read_second(self, str name, object memory) except -1:
        """Take the other source."""
        self.access.second = self.take(name, memory, False)
        return 0

    cdef int read_or_open(self, str name, object source) except -1:
        """Take the source, memory or a file."""
        if PyObject_CheckBuffer(source):
            return self.read(name, source)
        self.access.fd = descriptor(name, source)
        try:
            status = os.fstat(self.access.fd)
        except OSError as failure:
            raise ValueError(f"{name}={source!r}: no open file has this descriptor") from failure
        if not stat.S_ISREG(status.st_mode):  # pipes, devices and folders have no size to go through
            raise ValueError(f"{name}={source!r} is not a regular file")
        self.set_size(name, status.st_size)
        self.access.start = self.offset
        return 0

    cdef int divisible(self, str name, size_t unit) except -1:
        """Raise ValueError where the size is not a multiple of the unit."""
        if self.access.size % unit:
            given = f"{name} has {self.access.size} bytes" if self.length is None else f"length={self.length}"
            raise ValueError(f"{given}: give a multiple of {unit}")
        return 0

    cdef Transfer run(self, Kernel kernel, size_t steps, size_t grain=1, Kernel afterwards=NULL):
        """Run the kernel over its steps and return what came of it.

        Args:
            kernel: for each thread's share of the steps.
            steps: 0 to their number.
            grain: what shares are a multiple of, so that two threads do not write to one word or line.
            afterwards: run once, outside of the clock, for the checksum.
        """
        cdef Part* part
        cdef size_t i
        for i in range(self.threads):
            part = &self.parts[i]
            part.guard = self.parts.guard
            part.guard.anywhere = self.anywhere
            part.writable = self.parts.writable
            part.kernel = kernel
            part.steps = steps
            part.passes = self.passes
            part.access = self.access
            if self.access.block:  # at a page, for the kernel copies faster to there
                if posix_memalign(<void**>&part.access.buffer, PAGE, self.access.block):
                    part.access.buffer = NULL
                    raise MemoryError(f"block={self.access.block}")
            part.access.first = share(steps // grain, i, self.threads) * grain
            part.access.last = share(steps // grain, i + 1, self.threads) * grain
        self.parts[self.threads - 1].access.last = steps  # and what the grain leaves over
        self.run_parts()
        transfer = self.sum_of_parts()
        if afterwards != NULL:
            transfer.checksum = self.look(afterwards)
        return transfer

    cdef int run_parts(self) except -1:
        """Run the parts side by side."""
        cdef crew_member* members = <crew_member*>calloc(self.threads, sizeof(crew_member))
        cdef crew together
        cdef size_t i
        cdef int error
        if members == NULL:
            raise MemoryError(f"threads={self.threads}")
        together.prepare = NULL
        if self.first_touch:
            together.prepare = prepare
        together.work = work
        for i in range(self.threads):
            members[i].crew = &together
            members[i].part = &self.parts[i]
        with nogil:
            guard_enter()
            error = crew_run(&together, members, self.threads)
            guard_leave()
        free(members)
        if error:
            raise OSError(error, f"threads={self.threads}: the system gives no more threads ({os.strerror(error)})")
        return 0

    cdef uint64_t look(self, Kernel kernel) except? 0:
        """Run a kernel over the whole in this thread, outside of the clock, and return its checksum."""
        self.parts.kernel = kernel
        self.parts.passes = 1
        self.parts.access = self.access
        self.parts.error = 0
        with nogil:
            guard_enter()
            work(self.parts)
            guard_leave()
        self.check(self.parts)
        return self.parts.access.checksum

    cdef Transfer sum_of_parts(self):
        """Return what the parts came to together, or raise the error that one of them met."""
        cdef Transfer transfer = Transfer()
        cdef Part* part
        cdef long begin = self.parts.begin
        cdef long end = self.parts.end
        cdef size_t i
        for i in range(self.threads):
            part = &self.parts[i]
            self.check(part)
            begin = min(begin, part.begin)
            end = max(end, part.end)
            transfer.bytes += part.access.bytes
            transfer.accesses += part.access.accesses
            transfer.checksum += part.access.checksum
        transfer.elapsed_ns = end - begin
        return transfer

    cdef int check(self, Part* part) except -1:
        """Raise the error that a part met."""
        cdef int i
        cdef guard_range memory
        if part.error > 0:
            raise OSError(part.error, os.strerror(part.error))
        if part.error == 0:
            return 0
        from cyx.patterns.faults import explain  # which few will need
        for i in range(part.guard.count):
            memory = part.guard.ranges[i]
            if part.guard.address - memory.begin < memory.size:
                offset = part.guard.address - <uintptr_t>self.views[i].buf
                raise explain(self.names[i], offset, part.guard.address, part.guard.signal)
        raise OSError(EFAULT, f"{self.names[0]}: a pointer in it leads to {part.guard.address:#x}, which is elsewhere")
