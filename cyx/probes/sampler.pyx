# cython: language_level=3, embedsignature=True, cdivision=True
"""A thread that reads the resident set at a fixed period: its course over time, which no high-water mark tells.

The thread holds no Python object and never takes the GIL. Its stack and the room for the samples are touched before
``start`` returns, so it causes no fault in between; where the room is full, every other sample is dropped and the
period doubles.
"""

from libc.stdlib cimport calloc, free

from cyx cimport clock
from cyx.linux cimport CLOCK_MONOTONIC, O_CLOEXEC, O_RDONLY, SYS_gettid, close, open, pread, syscall, timespec
from cyx.probes cimport procfs, system_calls
from cyx.probes.interval cimport Interval

import os

cdef extern from "<time.h>" nogil:
    int TIMER_ABSTIME
    int clock_nanosleep(int clock, int flags, const timespec* request, timespec* left)

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t
    int pthread_create(pthread_t* thread, const void* attributes, void* (*run)(void*) noexcept nogil, void* argument)
    int pthread_join(pthread_t thread, void** result)

cdef extern from "<stdatomic.h>" nogil:
    ctypedef int atomic_int
    void atomic_store(atomic_int* place, int value)
    int atomic_load(atomic_int* place)

cdef enum:
    CAPACITY = 16 * 1024
    BUFFER = 256

SHORTEST = 100e-6
LONGEST = 100e-3

cdef struct Sample:
    long time_ns   # before it was read
    long done_ns   # after it was
    long resident  # pages
    long shared

cdef struct State:
    Sample* samples
    long count
    long period_ns
    int statm_fd
    atomic_int ready
    atomic_int stopping


cdef void take(State* state) noexcept nogil:
    cdef char text[BUFFER]
    cdef procfs.Statm memory
    cdef long begin = clock.now()
    cdef long length = pread(state.statm_fd, text, BUFFER - 1, 0)
    cdef long i
    if length <= 0:
        return
    text[length] = 0
    if procfs.parse_statm(text, &memory):
        return
    if state.count == CAPACITY:
        for i in range(CAPACITY // 2):
            state.samples[i] = state.samples[2 * i]
        state.count = CAPACITY // 2
        state.period_ns *= 2
    state.samples[state.count].time_ns = begin
    state.samples[state.count].done_ns = clock.now()
    state.samples[state.count].resident = memory.resident
    state.samples[state.count].shared = memory.shared
    state.count += 1


cdef void* run(void* argument) noexcept nogil:
    cdef State* state = <State*>argument
    cdef timespec until
    cdef long due
    cdef long thread = syscall(SYS_gettid)
    system_calls.leave_out(thread)
    take(state)
    due = clock.now()
    while not atomic_load(&state.stopping):
        due = max(due + state.period_ns, clock.now())
        until.tv_sec = due // 1_000_000_000
        until.tv_nsec = due % 1_000_000_000
        atomic_store(&state.ready, 1)
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)
        take(state)
    system_calls.leave_out_no_more(thread)
    return NULL


cdef class RssSampler:
    """Samples of the resident set of this process between ``start`` and ``stop``.

    Args:
        period: seconds between two samples, 100 us to 100 ms.

    Raises:
        ValueError: the period is outside that.
        OSError: /proc/self/statm cannot be read, or the thread cannot be started.
    """

    cdef State state
    cdef long asked_ns  # the period to start with
    cdef pthread_t thread
    cdef bint running

    def __cinit__(self):
        self.state.samples = NULL
        self.state.statm_fd = -1
        self.running = False

    def __init__(self, double period=1e-3):
        cdef long i
        if not SHORTEST <= period <= LONGEST:
            raise ValueError(f"period={period}: give {SHORTEST} to {LONGEST} seconds")
        if self.state.samples != NULL:
            raise RuntimeError("the sampler was made before")
        self.asked_ns = self.state.period_ns = <long>(period * 1e9)
        self.state.samples = <Sample*>calloc(CAPACITY, sizeof(Sample))
        if self.state.samples == NULL:
            raise MemoryError()
        for i in range(CAPACITY):
            (<volatile long*>&self.state.samples[i].time_ns)[0] = 0
        self.state.statm_fd = open(b"/proc/self/statm", O_RDONLY | O_CLOEXEC)
        if self.state.statm_fd < 0:
            raise OSError("/proc/self/statm cannot be read: mount /proc")

    def __dealloc__(self):
        self._join()
        if self.state.statm_fd >= 0:
            close(self.state.statm_fd)
        free(self.state.samples)

    cdef void _join(self):
        if self.running:
            atomic_store(&self.state.stopping, 1)
            with nogil:
                pthread_join(self.thread, NULL)
            self.running = False

    def start(self):
        """Start the thread and wait until it has taken its first sample. RuntimeError if it runs."""
        cdef int error
        cdef timespec moment
        if self.running:
            raise RuntimeError("the sampler is running")
        self.state.count = 0
        self.state.period_ns = self.asked_ns
        atomic_store(&self.state.stopping, 0)
        atomic_store(&self.state.ready, 0)
        error = pthread_create(&self.thread, NULL, run, &self.state)
        if error:
            raise OSError(error, f"no thread can be started ({os.strerror(error)})")
        self.running = True
        with nogil:
            while not atomic_load(&self.state.ready):
                moment.tv_sec = 0
                moment.tv_nsec = 50_000
                clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL)

    def stop(self):
        """Stop the thread, after a last sample."""
        self._join()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.stop()

    @property
    def period(self):
        """Seconds between two samples: as asked for, doubled each time that the room was full."""
        return self.state.period_ns / 1e9

    def largest_within(self, Interval interval):
        """Return the largest resident set, in bytes, of the samples taken wholly within an interval; 0 without any."""
        cdef long i
        cdef long pages = 0
        if self.running or not interval.finished:
            raise RuntimeError("the sampler or the interval is running: stop it first")
        for i in range(self.state.count):
            if interval.begin.wall_ns <= self.state.samples[i].time_ns:
                if self.state.samples[i].done_ns <= interval.end.wall_ns:
                    pages = max(pages, self.state.samples[i].resident)
        return pages * procfs.page_size()

    def samples(self):
        """Return [(seconds since the first sample, resident bytes, bytes of files and shared memory among them)]."""
        cdef long i
        cdef long page = procfs.page_size()
        cdef Sample* rows = self.state.samples
        if self.running:
            raise RuntimeError("the sampler is running: stop it first")
        return [
            ((rows[i].time_ns - rows[0].time_ns) / 1e9, rows[i].resident * page, rows[i].shared * page)
            for i in range(self.state.count)
        ]
