# cython: language_level=3, embedsignature=True
"""The counters of one stretch of code: faults, times, resident memory and its peak.

The order of the readings is the point. What costs faults or time itself is read outside (resident memory, the
high-water mark), what must be exact is read last before the code and first after it (rusage, the clock). Nothing is
allocated between the two, and the stack and the code that ``stop`` will run on have been touched. What the
readings say of the peak stands in peak.pyx.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject

from cyx cimport clock
from cyx.hooks cimport hooks
from cyx.linux cimport RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD, getrusage, rusage
from cyx.probes cimport batches, malloc_calls, peak, procfs, smaps, system_calls, thread_counters
from cyx.probes.frame_stack cimport lay_out_frame

import os

from cyx.probes.system_calls import reason_of

__tracebackhide__ = True  # pytest shows what the measured function does

cdef extern from "own_code.h" nogil:
    void touch_code(long step)

cdef extern from "Python.h":
    object PyObject_Vectorcall(object function, PyObject** arguments, size_t count, PyObject* names)

cdef enum:
    STACK = 64 * 1024  # bytes of the C stack touched before a start: more than the stop and its callers use
    STRIDE = 1024      # finer than any page size

cdef long page = procfs.page_size()
cdef Interval newest = None  # the open intervals of this process, linked by .outer
cdef long counting = 0       # of them those that count system calls
cdef long counting_mallocs = 0


cdef inline void pause() noexcept nogil:
    hooks.pause()
    if counting:
        system_calls.pause()
    if counting_mallocs:
        malloc_calls.pause()


cdef inline void resume() noexcept nogil:
    if malloc_calls.there():
        malloc_calls.resume()
    if counting:
        system_calls.resume()
    hooks.resume()


cdef void touch_stack() noexcept nogil:
    cdef volatile char room[STACK]
    cdef int i = 0
    while i < STACK:
        room[i] = 0
        i += STRIDE


cdef long microseconds(const rusage* usage) noexcept nogil:
    return (
        (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1_000_000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
    )


cdef class Interval:
    """One stretch of code, to be started and stopped once; figures are growth between the two unless they say total.

    Intervals may nest and overlap: each start folds the high-water mark into those that are open before it resets it.
    """

    def __cinit__(self):
        self.narrow = True
        self.count_children = True

    def before_start(self):
        """Do what belongs before the first reading; for subclasses."""

    @staticmethod
    def is_nested():
        """Tell whether an interval of this process is open at the moment."""
        return newest is not None

    def after_stop(self):
        """Do what belongs after the last reading; for subclasses."""

    def start(self):
        """Read the counters. RuntimeError if the interval was started before."""
        self.begin_reading()

    def stop(self):
        """Read the counters again. RuntimeError if the interval is not running."""
        self.end_reading()

    # As C functions: a search for a method in the subclass would allocate within the window.

    cdef int begin_reading(self) except -1:
        global newest, counting_mallocs
        cdef procfs.Statm memory
        cdef procfs.Status status
        cdef Interval interval
        cdef long switches
        cdef int _attempt
        if self.running or self.finished:
            if self.entered:
                resume()
            raise RuntimeError("an interval is started once; make a new one")
        if self.counter is not None and (<hooks.Counter?>self.counter).running:
            if self.entered:
                resume()
            raise RuntimeError("this counter counts for another interval; make a new one")
        cdef bint nested = newest is not None
        if nested and not self.entered:
            pause()
            getrusage(RUSAGE_THREAD, &self.entry)
        try:
            self.before_start()
            prepare()
            if self.counter is not None:  # and nothing of this thread is counted before the resumption
                hooks.pause()
                (<hooks.Counter>self.counter).attach()
                (<hooks.Counter>self.counter).begin()
            if self.tracepoint:
                self.open_events()
            if self.count_mallocs and malloc_calls.there():
                self.holds_mallocs = True
                counting_mallocs += 1
        except BaseException:  # an interrupt, or no memory: there will be no stop
            if self.counter is not None:
                (<hooks.Counter>self.counter).end()
                (<hooks.Counter>self.counter).detach()
            self.close_events()
            resume()
            raise
        touch_stack()
        touch_code(page)
        if self.drained and self.narrow:
            peak.drain()
        peak.lay_out(&self.peak)
        if self.track_accessed:
            self.start_tracking()
        thread_counters.add_up()
        self.read_error = procfs.read_statm(&memory)
        if thread_counters.hold_back() and procfs.read_status(&status) == 0:
            self.peak.threads = status.threads
        interval = newest
        if interval is not None and procfs.read_status(&status) == 0:
            getrusage(RUSAGE_SELF, &self.end.process)
            while interval is not None:
                peak.note(&interval.peak, &interval.begin, &memory, &status, &self.end.process)
                peak.disturb(&interval.peak, 0)
                interval = interval.outer
        self.reset_error = peak.begin(&self.peak)
        if self.holds_mallocs:
            self.begin_mallocs()
        if self.holds_events:
            self.calls_error = system_calls.begin(&self.calls_before)
        self.begin.resident = memory.resident
        self.begin.shared = memory.shared
        self.running = True
        self.outer = newest
        newest = self
        if self.count_children:
            getrusage(RUSAGE_CHILDREN, &self.begin.children)
        getrusage(RUSAGE_THREAD, &self.begin.thread)
        getrusage(RUSAGE_SELF, &self.begin.process)
        for _attempt in range(3 if self.drained else 0):  # a switch in between would look like another thread's
            switches = peak.switches(&self.begin.process)
            getrusage(RUSAGE_THREAD, &self.begin.thread)
            getrusage(RUSAGE_SELF, &self.begin.process)
            if peak.switches(&self.begin.process) == switches:
                break
        self.begin.wall_ns = clock.now()
        if nested and self.outer is not None:
            self.outer.disown(&self.entry, &self.begin.thread)
        resume()

    cdef int end_reading(self) except -1:
        global newest
        cdef procfs.Statm memory
        cdef procfs.Status status
        cdef Interval interval
        cdef rusage done
        pause()
        if self.holds_mallocs:
            malloc_calls.read(&self.mallocs_after)
        self.end.wall_ns = clock.now()
        if self.counter is not None:
            (<hooks.Counter>self.counter).end()
        getrusage(RUSAGE_SELF, &self.end.process)
        getrusage(RUSAGE_THREAD, &self.end.thread)
        if self.holds_events:
            self.calls_error = system_calls.read_counts(&self.calls_after) or self.calls_error
        if self.count_children:
            getrusage(RUSAGE_CHILDREN, &self.end.children)
        if not self.running:
            resume()
            raise RuntimeError("the interval is not running")
        self.running = False
        self.finished = True
        procfs.prepare()  # the code may have forked and gone on as the child
        thread_counters.add_up()
        self.read_error = self.read_error or procfs.read_statm(&memory)
        if thread_counters.hold_back() and procfs.read_status(&status) == 0:
            self.peak.threads = max(self.peak.threads, status.threads)
        self.end.resident = memory.resident
        self.end.shared = memory.shared
        if self.track_accessed:
            self.take_accessed()
        # Without a fault nothing became resident: there is no peak to ask for.
        if self.minor_faults + self.major_faults and not self.read_error:
            self.read_error = procfs.read_status(&status)
            if self.read_error == 0:
                interval = newest
                while interval is not None:
                    peak.note(&interval.peak, &interval.begin, &memory, &status, &self.end.process)
                    interval = interval.outer
                self.weigh_peak(status.threads)
        if newest is self:
            newest = self.outer
        else:
            interval = newest
            while interval is not None and interval.outer is not self:
                interval = interval.outer
            if interval is not None:
                interval.outer = self.outer
        self.outer = None
        self.close_events()
        try:
            if self.counter is not None:
                (<hooks.Counter>self.counter).detach()
            self.after_stop()
        finally:
            if newest is not None:
                getrusage(RUSAGE_THREAD, &done)
                newest.disown(&self.end.thread, &done)
            resume()

    cdef int open_events(self) except -1:
        global counting
        self.calls_error = system_calls.open_events(self.tracepoint)
        if self.calls_error == 0:
            self.holds_events = True
            counting += 1
        return 0

    cdef void close_events(self):
        global counting, counting_mallocs
        if self.holds_events:
            self.holds_events = False
            counting -= 1
            system_calls.close_events()
        if self.holds_mallocs:
            self.holds_mallocs = False
            self.mallocs_known = True
            counting_mallocs -= 1

    cdef void begin_mallocs(self):
        cdef Interval interval = newest
        malloc_calls.read(&self.mallocs_before)
        while interval is not None:  # this one begins the peak anew
            interval.heap_peak = max(interval.heap_peak, self.mallocs_before.peak)
            interval = interval.outer
        malloc_calls.begin(&self.mallocs_before)

    cdef void disown(self, const rusage* before, const rusage* after):
        """Take what this thread faulted in between from this interval and those outside of it: it was our own."""
        cdef Interval interval = self
        while interval is not None:
            interval.own_minor_faults += after.ru_minflt - before.ru_minflt
            interval.own_major_faults += after.ru_majflt - before.ru_majflt
            interval = interval.outer

    def start_tracking(self):
        """Clear the accessed bits of all memory; open intervals that count on them take their part first."""
        cdef Interval interval = newest
        smaps.learn_idle()
        while interval is not None:
            if interval.track_accessed:
                interval.take_accessed()
            interval = interval.outer
        self.accessed_error = smaps.clear_accessed()

    cdef void take_accessed(self):
        cdef smaps.Accessed part
        self.accessed_error = self.accessed_error or smaps.read_accessed(&part)
        if self.accessed_error:
            return
        self.largest.anonymous_low = max(self.largest.anonymous_low, part.anonymous_low)
        self.together.anonymous_high += part.anonymous_high
        self.together.file += part.file

    cdef void weigh_peak(self, long threads):
        cdef Interval interval = newest
        cdef int types = peak.weigh(&self.peak, &self.begin, &self.end, threads, self.narrow)
        while self.narrow and interval is not None:
            if interval is not self:  # what moved since the visit before has perhaps moved within the outer one
                peak.disturb(&interval.peak, types)
            interval = interval.outer

    def __enter__(self):
        self.begin_reading()
        return self

    def __exit__(self, kind, exception, traceback):  # by name: a tuple of them would be allocated before the stop
        self.end_reading()

    def call(self, function, tuple arguments=(), dict keywords=None):
        """Start, call the function, stop; return its result. Arguments and frame are laid out before the start."""
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
            lay_out_frame(function)
            self.begin_reading()
            try:
                return PyObject_Vectorcall(function, row, count, <PyObject*>names if named else NULL)
            finally:
                self.end_reading()
        finally:
            PyMem_Free(row)

    cdef int require_finished(self) except -1:
        if not self.finished:
            raise RuntimeError("the interval has not been stopped yet")
        return 0

    @property
    def minor_faults(self):
        """Page faults served without I/O, of all threads."""
        self.require_finished()
        return self.end.process.ru_minflt - self.begin.process.ru_minflt - self.own_minor_faults

    @property
    def major_faults(self):
        """Page faults that waited for I/O, of all threads."""
        self.require_finished()
        return self.end.process.ru_majflt - self.begin.process.ru_majflt - self.own_major_faults

    @property
    def children(self):
        """(minor faults, major faults, seconds of CPU) of the child processes reaped in between.

        RuntimeError if ``count_children`` was off.
        """
        self.require_finished()
        if not self.count_children:
            raise RuntimeError("the interval did not count children: set count_children before the start")
        return (
            self.end.children.ru_minflt - self.begin.children.ru_minflt,
            self.end.children.ru_majflt - self.begin.children.ru_majflt,
            (microseconds(&self.end.children) - microseconds(&self.begin.children)) / 1e6,
        )

    @property
    def wall_time(self):
        """Seconds of the monotonic clock."""
        self.require_finished()
        return (self.end.wall_ns - self.begin.wall_ns) / 1e9

    @property
    def cpu_time(self):
        """Seconds of user and system time, of all threads."""
        self.require_finished()
        return (microseconds(&self.end.process) - microseconds(&self.begin.process)) / 1e6

    @property
    def retained_rss(self):
        """Bytes of resident memory at the stop beyond those at the start; negative where memory was given back."""
        self.require_finished()
        return (self.end.resident - self.begin.resident) * page

    @property
    def resident_at_start(self):
        """Bytes resident at the start."""
        return self.begin.resident * page

    @property
    def retained_uncertainty(self):
        """Bytes by which ``retained_rss`` may be off: 0 where the kernel shows exact sums."""
        if batches.statm_is_exact():
            return 0
        if thread_counters.hold_back():
            return thread_counters.most_held(self.peak.threads, 0) * page
        return (batches.batch_pages() - 1) * 6 * batches.cpu_count() * page

    @property
    def peak_bounds(self):
        """(low, high) bytes between which the peak of resident memory beyond the start lies."""
        self.require_finished()
        cdef long low = max(self.begin.resident, self.end.resident, self.peak.floor)
        cdef long high = low
        if self.minor_faults + self.major_faults:
            peak.bound(&self.peak, &self.begin, &self.end, &low, &high)
        return (low - self.begin.resident) * page, (high - self.begin.resident) * page

    @property
    def moved(self):
        """(types of resident pages, CPUs) that may have moved: what the width of the peak rests on."""
        self.require_finished()
        names = ("anonymous", "file", "shared memory")
        return tuple(name for i, name in enumerate(names) if self.peak.types & (1 << i)), self.peak.cpus

    @property
    def accessed(self):
        """(low, high) bytes of anonymous memory that were touched, those of files, those that idle Python touches.

        None if it was not asked for by ``track_accessed``. Inner intervals clear the bits: then the low figure is that
        of the largest part, the high one the sum of all. The low figure leaves out what of a mapping's first and last
        huge page need not have been touched. OSError where the bits can be neither cleared nor read.
        """
        self.require_finished()
        if not self.track_accessed:
            return None
        if self.accessed_error:
            raise OSError(self.accessed_error, os.strerror(self.accessed_error))
        return (
            self.largest.anonymous_low,
            self.together.anonymous_high,
            self.together.file,
            smaps.idle_anonymous(),
        )

    @property
    def system_calls(self):
        """How often all threads entered a system call, and those of brk, mmap, munmap and madvise among them.

        None if it was not asked for by ``tracepoint``, the number of the tracepoint ``raw_syscalls/sys_enter``. OSError
        where they could not be counted. What starting and stopping any interval enters is not in it.
        """
        cdef int kind
        self.require_finished()
        if not self.tracepoint:
            return None
        if self.calls_error:
            raise OSError(self.calls_error, reason_of(self.calls_error))
        return tuple([
            self.calls_after.entered[kind] - self.calls_before.entered[kind] for kind in range(system_calls.CALL_KINDS)
        ])

    @property
    def mallocs(self):
        """What went through malloc, by name: counts, and bytes.

        ``mallocs``: blocks that were asked for, ``small`` of them up to 512 bytes, ``medium`` up to 128 KiB and
        ``large`` beyond; ``frees``: those given back; ``reallocs``: those that were to have another size;
        ``requested``: the bytes asked for; ``peak``: the largest growth of the usable bytes of blocks that were held at
        once. None if it was not asked for by ``count_mallocs``, or the process was started without the library that
        counts.
        """
        cdef malloc_calls.Totals* end = &self.mallocs_after
        cdef malloc_calls.Totals* begin = &self.mallocs_before
        self.require_finished()
        if not self.mallocs_known:
            return None
        return {
            "mallocs": end.mallocs - begin.mallocs,
            "frees": end.frees - begin.frees,
            "reallocs": end.reallocs - begin.reallocs,
            "requested": end.requested - begin.requested,
            "peak": max(self.heap_peak, end.peak) - begin.live,
            "small": end.small - begin.small,
            "medium": end.medium - begin.medium,
            "large": end.large - begin.large,
        }

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

    def opened(self):
        """Return the interval to start, at once: what is done from here on is not taken for an open one's faults."""
        cdef rusage entry
        cdef Interval interval
        cdef bint nested = newest is not None
        if nested:
            pause()
            getrusage(RUSAGE_THREAD, &entry)
        try:
            interval = self.opening()
        except BaseException:
            resume()
            raise
        if nested:
            interval.entry = entry
            interval.entered = True
        return interval

    def __enter__(self):
        self.interval = self.opened()
        self.interval.begin_reading()
        return self

    def misused(self):
        """Raise what tells a caller that nothing is open; for subclasses."""
        raise RuntimeError("the interval is not running")

    def __exit__(self, kind, exception, traceback):
        if self.interval is None or not self.interval.running:
            self.misused()
            return
        self.interval.end_reading()


cpdef prepare():
    """Open and map what the intervals of this process need, which the first start would do otherwise."""
    procfs.prepare()
    peak.prepare()
