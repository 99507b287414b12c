# cython: language_level=3, embedsignature=True
"""The counters of one stretch of code: faults, times, resident memory and its peak.

The order of the readings is the point. What costs faults or time itself is read outside (resident memory, the
high-water mark), what must be exact is read last before the code and first after it (rusage, the clock). Nothing is
allocated between the two, and the stacks that ``stop`` will run on have been touched.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject

from cyx.linux cimport CLOCK_MONOTONIC, RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD, clock_gettime, getrusage, timespec
from cyx.probes cimport procfs

import os

cdef extern from "Python.h":
    object PyObject_Vectorcall(object function, PyObject** arguments, size_t count, PyObject* names)

cdef enum:
    STACK = 64 * 1024  # bytes of the C stack touched before a start: more than the stop and its callers use
    STRIDE = 1024      # finer than any page size

cdef long page = procfs.page_size()
cdef long batch = max(32, 2 * (os.cpu_count() or 1))  # pages a CPU may hold back per counter (lib/percpu_counter.c)
cdef long cpus = os.cpu_count() or 1
cdef Interval newest = None  # the open intervals of this process, linked by .outer


cdef void touch_stack() noexcept nogil:
    cdef volatile char room[STACK]
    cdef int i = 0
    while i < STACK:
        room[i] = 0
        i += STRIDE


cdef long wall_clock() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1_000_000_000 + now.tv_nsec


cdef long microseconds(const rusage* usage) noexcept nogil:
    return (
        (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000_000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
    )


cdef class Interval:
    """One stretch of code, to be started and stopped once; figures are growth between the two unless they say total.

    Intervals may nest and overlap: each start folds the high-water mark into those that are open before it resets it.
    """

    def before_start(self):
        """Do what belongs before the first reading; for subclasses."""

    @staticmethod
    def is_nested():
        """Tell whether an interval of this process is open at the moment."""
        return newest is not None

    def after_stop(self):
        """Do what belongs after the last reading; for subclasses."""

    cpdef start(self):
        """Read the counters. RuntimeError if the interval was started before."""
        global newest
        cdef procfs.Statm memory
        cdef procfs.Status status
        cdef Interval interval
        if self.running or self.finished:
            raise RuntimeError("an interval is started once; make a new one")
        self.before_start()
        procfs.prepare()
        touch_stack()
        getrusage(RUSAGE_SELF, &self.end.process)  # the fields of the stop are in memory before memory is read
        self.read_error = procfs.read_statm(&memory)
        interval = newest
        if interval is not None and procfs.read_status(&status) == 0:
            while interval is not None:
                interval.peak = max(interval.peak, status.high_water_mark // page)
                interval = interval.outer
        self.reset_error = procfs.reset_high_water_mark()
        self.begin.resident = memory.resident
        self.begin.shared = memory.shared
        self.peak = 0
        self.running = True
        self.outer = newest
        newest = self
        # Twice: the first reading pulls in what the reading itself needs.
        getrusage(RUSAGE_CHILDREN, &self.begin.children)
        getrusage(RUSAGE_SELF, &self.begin.process)
        getrusage(RUSAGE_THREAD, &self.begin.thread)
        wall_clock()
        getrusage(RUSAGE_THREAD, &self.begin.thread)
        getrusage(RUSAGE_SELF, &self.begin.process)
        self.begin.wall_ns = wall_clock()

    cpdef stop(self):
        """Read the counters again. RuntimeError if the interval is not running."""
        global newest
        cdef procfs.Statm memory
        cdef procfs.Status status
        cdef Interval interval
        self.end.wall_ns = wall_clock()
        getrusage(RUSAGE_SELF, &self.end.process)
        getrusage(RUSAGE_THREAD, &self.end.thread)
        getrusage(RUSAGE_CHILDREN, &self.end.children)
        if not self.running:
            raise RuntimeError("the interval is not running")
        self.running = False
        self.finished = True
        procfs.prepare()  # the code may have forked and gone on as the child
        if procfs.read_status(&status) == 0:
            self.peak = max(self.peak, status.high_water_mark // page)
            self.threads = status.threads
        self.read_error = self.read_error or procfs.read_statm(&memory)
        self.end.resident = memory.resident
        self.end.shared = memory.shared
        if newest is self:
            newest = self.outer
        else:
            interval = newest
            while interval is not None and interval.outer is not self:
                interval = interval.outer
            if interval is not None:
                interval.outer = self.outer
        self.outer = None
        self.after_stop()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, exception, traceback):  # by name: a tuple of them would be allocated before the stop
        self.stop()

    def call(self, function, tuple arguments=(), dict keywords=None):
        """Start, call the function, stop; return its result. The arguments are laid out before the start."""
        cdef Py_ssize_t count = len(arguments)
        cdef Py_ssize_t named = len(keywords) if keywords else 0
        cdef tuple names = tuple(keywords) if named else None
        cdef PyObject** row = <PyObject**>PyMem_Malloc((count + named + 1) * sizeof(PyObject*))
        cdef Py_ssize_t i
        if row == NULL:
            raise MemoryError()
        for i in range(count):
            row[i] = <PyObject*>arguments[i]
        for i in range(named):
            row[count + i] = <PyObject*>keywords[names[i]]
        try:
            self.start()
            try:
                return PyObject_Vectorcall(function, row, count, <PyObject*>names if named else NULL)
            finally:
                self.stop()
        finally:
            PyMem_Free(row)

    def _require_finished(self):
        if not self.finished:
            raise RuntimeError("the interval has not been stopped yet")

    @property
    def minor_faults(self):
        """Page faults served without I/O, of all threads."""
        self._require_finished()
        return self.end.process.ru_minflt - self.begin.process.ru_minflt

    @property
    def major_faults(self):
        """Page faults that waited for I/O, of all threads."""
        self._require_finished()
        return self.end.process.ru_majflt - self.begin.process.ru_majflt

    @property
    def other_threads_faults(self):
        """Minor faults of the other threads of this process."""
        self._require_finished()
        return self.minor_faults - (self.end.thread.ru_minflt - self.begin.thread.ru_minflt)

    @property
    def children(self):
        """(minor faults, major faults, seconds of CPU) of the child processes reaped in between."""
        self._require_finished()
        return (
            self.end.children.ru_minflt - self.begin.children.ru_minflt,
            self.end.children.ru_majflt - self.begin.children.ru_majflt,
            (microseconds(&self.end.children) - microseconds(&self.begin.children)) / 1e6,
        )

    @property
    def wall_time(self):
        """Seconds of the monotonic clock."""
        self._require_finished()
        return (self.end.wall_ns - self.begin.wall_ns) / 1e9

    @property
    def cpu_time(self):
        """Seconds of user and system time, of all threads."""
        self._require_finished()
        return (microseconds(&self.end.process) - microseconds(&self.begin.process)) / 1e6

    @property
    def retained_rss(self):
        """Bytes of resident memory at the stop beyond those at the start; negative where memory was given back."""
        self._require_finished()
        return (self.end.resident - self.begin.resident) * page

    @property
    def resident_at_start(self):
        """Bytes resident at the start."""
        return self.begin.resident * page

    @property
    def peak_bounds(self):
        """(low, high) bytes between which the peak of resident memory beyond the start lies."""
        self._require_finished()
        cdef long kept = max(0, self.end.resident - self.begin.resident)
        cdef long seen = max(kept, self.peak - self.begin.resident)
        cdef long slack = (batch - 1) * cpus
        if seen == kept and self.minor_faults + self.major_faults == 0:
            return kept * page, kept * page
        return max(kept, seen - slack) * page, (seen + slack) * page

    @property
    def errors(self):
        """(errno of reading /proc, errno of resetting the high-water mark); 0 where all went well."""
        return self.read_error, self.reset_error


cdef class Bracket:
    """A ``with`` statement over the interval that a subclass provides; no Python code runs between it and the block."""

    cdef Interval interval

    def opening(self):
        """Return the interval to start; for subclasses."""
        raise NotImplementedError("a subclass returns its interval")

    def closed(self):
        """Do what belongs after the stop; for subclasses."""

    def __enter__(self):
        self.interval = self.opening()
        self.interval.start()
        return self

    def __exit__(self, kind, exception, traceback):
        self.interval.stop()
        self.closed()
