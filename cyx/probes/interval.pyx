# cython: language_level=3, embedsignature=True
"""The counters of one stretch of code: faults, times, resident memory and its peak.

The order of the readings is the point. What costs faults or time itself is read outside (resident memory, the
high-water mark), what must be exact is read last before the code and first after it (rusage, the clock). Nothing is
allocated between the two, and the stack and the code that ``stop`` will run on have been touched.

How the peak P of the exact resident set follows from the high-water mark, which the kernel keeps from totals that lack
the pending numbers of each pair of page type and CPU (see batches.pyx). The mark M is the largest total at any instant
of the interval: before memory is given back it is brought up to date. With k pairs that moved, U pages pending in the
others (the same number all the time), and at most b - 1 pages pending in a pair:

- when the exact set was at its peak, the total was at most M, so  P <= M + U + k (b - 1);
- when the total was M, the exact set was at least  M + U - k (b - 1)  and at most P. If the total rose within the
  interval, then M was reached by a fold, which leaves nothing pending in its own pair: k - 1 instead of k.

So P lies in an interval of (2 k - 1) (b - 1) pages: for one thread that stayed on its CPU and moved one type (k = 1)
one batch, one-sided. U is found after the stop (``batches.settle``), or else bounded by the sum of all that is pending.
Anonymous memory is always taken to have moved; files and shared memory where their exact number at the ends differs or
their pending number is not what the last visit left. What this cannot see: a mapping of less than two batches of these
that comes and goes within an interval in which anonymous memory moved by more than a batch.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject

from cyx.linux cimport (
    CLOCK_MONOTONIC,
    MADV_POPULATE_READ,
    O_CLOEXEC,
    O_RDONLY,
    RUSAGE_CHILDREN,
    RUSAGE_SELF,
    RUSAGE_THREAD,
    Dl_info,
    SYS_gettid,
    clock_gettime,
    close,
    dladdr,
    file_status,
    fstat,
    getpid,
    getrusage,
    madvise,
    open,
    rusage,
    syscall,
    timespec,
)
from cyx.probes cimport batches, procfs, smaps
from cyx.probes.frame_stack cimport lay_out_frame

import os

cdef extern from *:
    """
    /* Where the code of this module begins (crti.o) and ends (the linker). */
    extern void _init(void) __attribute__((visibility("hidden")));
    extern const char etext[] __attribute__((visibility("hidden")));
    static void touch_code(long step) {
        for (volatile const char *place = (volatile const char *)_init; place < etext; place += step) (void)*place;
    }
    """
    void touch_code(long step) nogil

cdef extern from "Python.h":
    object PyObject_Vectorcall(object function, PyObject** arguments, size_t count, PyObject* names)

cdef enum:
    STACK = 64 * 1024  # bytes of the C stack touched before a start: more than the stop and its callers use
    STRIDE = 1024      # finer than any page size

cdef long page = procfs.page_size()
cdef long last_migrations = -1  # as last read; -1 where it cannot be
cdef smaps.Accessed floor_of_accessed  # what an empty interval reads; 0 as long as none was taken
cdef bint maximum_inherited = False  # ru_maxrss shows what was there before an exec, not the total after a reset
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


def run_idle():
    """Do what any Python code does: call, count, build, drop."""
    kept = {}
    for i in range(8):
        kept[str(i)] = [i]
    return kept


cdef class Interval:
    """One stretch of code, to be started and stopped once; figures are growth between the two unless they say total.

    Intervals may nest and overlap: each start folds the high-water mark into those that are open before it resets it.
    """

    def __cinit__(self):
        self.narrow = True

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
        cdef rusage entry
        if self.running or self.finished:
            raise RuntimeError("an interval is started once; make a new one")
        getrusage(RUSAGE_THREAD, &entry)
        self.before_start()
        prepare()
        self.migrations = last_migrations
        touch_stack()
        touch_code(page)  # it has not run yet, or the kernel has taken it back
        if self.track_accessed:
            self.start_tracking()
        getrusage(RUSAGE_SELF, &self.end.process)  # the fields of the stop are in memory before memory is read
        self.read_error = procfs.read_statm(&memory)
        interval = newest
        if interval is not None and procfs.read_status(&status) == 0:
            while interval is not None:
                interval.note(&memory, &status, &self.end.process)
                interval.disturbed = True
                interval = interval.outer
        self.reset_error = procfs.reset_high_water_mark()
        self.start_total = -1
        if maximum_inherited:
            procfs.read_approximate(&self.start_total)
        self.begin.resident = memory.resident
        self.begin.shared = memory.shared
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
        if self.outer is not None:
            self.outer.disown(&entry, &self.begin.thread)

    cpdef stop(self):
        """Read the counters again. RuntimeError if the interval is not running."""
        global newest
        cdef procfs.Statm memory
        cdef procfs.Status status
        cdef Interval interval
        cdef rusage done
        self.end.wall_ns = wall_clock()
        getrusage(RUSAGE_SELF, &self.end.process)
        getrusage(RUSAGE_THREAD, &self.end.thread)
        getrusage(RUSAGE_CHILDREN, &self.end.children)
        if not self.running:
            raise RuntimeError("the interval is not running")
        self.running = False
        self.finished = True
        procfs.prepare()  # the code may have forked and gone on as the child
        self.read_error = self.read_error or procfs.read_statm(&memory)
        self.end.resident = memory.resident
        self.end.shared = memory.shared
        if self.track_accessed:
            self.take_accessed()
        # Without a fault nothing became resident: there is no peak to ask for.
        if self.minor_faults + self.major_faults and not (self.read_error or self.reset_error):
            self.read_error = procfs.read_status(&status)
            if self.read_error == 0:
                interval = newest
                while interval is not None:
                    interval.note(&memory, &status, &self.end.process)
                    interval = interval.outer
                self.narrow_down(status.threads)
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
        if newest is not None:
            getrusage(RUSAGE_THREAD, &done)
            newest.disown(&self.end.thread, &done)

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
        if floor_of_accessed.anonymous_high == 0:
            for _ in range(2):  # the first pass brings its own code and buffer into memory
                run_idle()
                smaps.clear_accessed()
                run_idle()
                smaps.read_accessed(&floor_of_accessed)
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
        self.largest.huge = max(self.largest.huge, part.huge)
        self.together.anonymous_high += part.anonymous_high
        self.together.file += part.file

    cdef void note(self, const procfs.Statm* memory, const procfs.Status* status, const rusage* usage):
        """Take over what the mark shows, before it is reset or at the end.

        floor: the largest exact resident set read; mark: the largest total, where it showed; limit: no total was
        higher. VmHWM is the larger of the mark and the exact set now (fs/proc/task_mmu.c), so it is the mark only
        where it is above VmRSS; ru_maxrss is the mark or more (kernel/sys.c: an exec leaves its own there).
        """
        cdef long resident = status.resident // page
        cdef long shown = status.high_water_mark // page
        self.floor = max(self.floor, resident)
        self.limit = max(self.limit, min(shown, usage.ru_maxrss * 1024 // page))
        if shown > resident:
            self.mark = max(self.mark, shown)
        if memory.shared != self.begin.shared or usage.ru_majflt != self.begin.process.ru_majflt:
            self.types |= batches.FILE | (batches.SHARED if status.shared > 0 else 0)

    cdef bint stayed(self):
        """Tell whether the code, and all since, ran on this one CPU: one thread, and no switch or no migration."""
        cdef rusage process, thread
        cdef long switches, migrations
        getrusage(RUSAGE_SELF, &process)
        getrusage(RUSAGE_THREAD, &thread)
        switches = process.ru_nvcsw + process.ru_nivcsw - self.begin.process.ru_nvcsw - self.begin.process.ru_nivcsw
        if switches == 0:
            return True
        if switches != thread.ru_nvcsw + thread.ru_nivcsw - self.begin.thread.ru_nvcsw - self.begin.thread.ru_nivcsw:
            return False
        if self.migrations < 0 or syscall(SYS_gettid) != getpid() or procfs.read_migrations(&migrations):
            return False
        return migrations == self.migrations

    cdef void narrow_down(self, long threads):
        """Find or bound what is pending in the pairs that did not move, and how many did."""
        global last_migrations
        cdef Interval interval
        cdef batches.Pending pending
        cdef long slack, total
        cdef long cpus = batches.cpu_count()
        cdef bint one_cpu = threads == 1 and self.other_threads_faults == 0 and self.stayed()
        cdef bint found = False
        cdef int type
        if self.narrow:
            found = one_cpu and batches.settle(False, &pending) == 0 and self.stayed()
            if not found:
                one_cpu = False
                found = batches.settle(True, &pending) == 0
        self.types |= pending.moved if found else batches.ANONYMOUS | batches.FILE | batches.SHARED
        self.cpus = 1 if one_cpu else cpus
        if found:
            self.withheld_low = pending.everything
            self.withheld_all = pending.everything
            for type in range(batches.TYPES):
                self.withheld_all -= pending.of_type[type]
                if self.types & (1 << type):
                    self.withheld_low -= pending.of_type[type]
            self.withheld_high = self.withheld_low
        else:
            slack = batches.batch_pages() - 1
            self.withheld_high = slack * batches.TYPES * (cpus - self.cpus)
            self.withheld_low = -self.withheld_high
            if not batches.statm_is_exact():  # then the start and the end are totals too
                self.withheld_high = slack * 2 * batches.TYPES * cpus
                self.withheld_low = -self.withheld_high
            elif not self.narrow and procfs.read_approximate(&total) == 0:
                total = self.end.resident - total
                self.withheld_low = max(self.withheld_low, total - slack * batches.TYPES * self.cpus)
                self.withheld_high = min(self.withheld_high, total + slack * batches.TYPES * self.cpus)
            self.withheld_all = self.withheld_high
        if not self.narrow:
            return
        interval = newest
        while interval is not None:
            if interval is not self:
                interval.types |= self.types  # since the visit before, so perhaps within the outer one
                interval.disturbed = True
            interval = interval.outer
        procfs.reset_high_water_mark()
        if procfs.read_migrations(&last_migrations):
            last_migrations = -1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, exception, traceback):  # by name: a tuple of them would be allocated before the stop
        self.stop()

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
        return self.end.process.ru_minflt - self.begin.process.ru_minflt - self.own_minor_faults

    @property
    def major_faults(self):
        """Page faults that waited for I/O, of all threads."""
        self._require_finished()
        return self.end.process.ru_majflt - self.begin.process.ru_majflt - self.own_major_faults

    @property
    def other_threads_faults(self):
        """Minor faults of the other threads of this process."""
        self._require_finished()
        return (
            self.end.process.ru_minflt
            - self.begin.process.ru_minflt
            - (self.end.thread.ru_minflt - self.begin.thread.ru_minflt)
        )

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
    def retained_uncertainty(self):
        """Bytes by which ``retained_rss`` may be off: 0 where the kernel shows exact sums."""
        if batches.statm_is_exact():
            return 0
        return (batches.batch_pages() - 1) * 6 * batches.cpu_count() * page

    @property
    def peak_bounds(self):
        """(low, high) bytes between which the peak of resident memory beyond the start lies."""
        self._require_finished()
        cdef long slack = batches.batch_pages() - 1
        cdef long start_total = self.begin.process.ru_maxrss * 1024 // page
        cdef long low = max(self.begin.resident, self.end.resident, self.floor)
        cdef long high = low
        cdef long pairs = self.cpus * ((self.types & 1) + (self.types >> 1 & 1) + (self.types >> 2 & 1))
        if self.start_total >= 0:
            start_total = self.start_total
        if self.minor_faults + self.major_faults:
            if self.mark > start_total:
                low = max(low, self.mark + self.withheld_low - slack * (pairs if self.disturbed else pairs - 1))
                high = self.limit + self.withheld_high + slack * pairs
            else:  # not one fold: too little moved to tell the types
                high = self.limit + self.withheld_all + slack * batches.TYPES * self.cpus
            high = max(low, high)
        return (low - self.begin.resident) * page, (high - self.begin.resident) * page

    @property
    def moved(self):
        """(types of resident pages, CPUs) that may have moved: what the width of the peak rests on."""
        self._require_finished()
        names = ("anonymous", "file", "shared memory")
        return tuple(name for i, name in enumerate(names) if self.types & (1 << i)), self.cpus

    @property
    def accessed(self):
        """(low, high) bytes of anonymous memory that were touched, those of files, those that idle Python touches.

        None if it was not asked for by ``track_accessed``. Inner intervals clear the bits: then the low figure is that
        of the largest part, the high one the sum of all. OSError where the bits can be neither cleared nor read.
        """
        self._require_finished()
        if not self.track_accessed:
            return None
        if self.accessed_error:
            raise OSError(self.accessed_error, os.strerror(self.accessed_error))
        return (
            self.largest.anonymous_low,
            self.together.anonymous_high,
            self.together.file,
            floor_of_accessed.anonymous_high,
        )

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

    def __enter__(self):
        cdef rusage before, after
        getrusage(RUSAGE_THREAD, &before)
        self.interval = self.opening()
        if newest is not None:
            getrusage(RUSAGE_THREAD, &after)
            newest.disown(&before, &after)
        self.interval.start()
        return self

    def misused(self):
        """Raise what tells a caller that nothing is open; for subclasses."""
        raise RuntimeError("the interval is not running")

    def __exit__(self, kind, exception, traceback):
        if self.interval is None or not self.interval.running:
            self.misused()
            return
        self.interval.stop()


cdef void populate_code() noexcept nogil:
    """Bring this module's code into memory: a page of it that is first run in a window would be a fault there."""
    cdef Dl_info module
    cdef file_status status
    cdef int fd
    if dladdr(<const void*>populate_code, &module) == 0:
        return
    fd = open(module.dli_fname, O_RDONLY | O_CLOEXEC)
    if fd < 0:
        return
    if fstat(fd, &status) == 0:  # the module's mappings follow each other; where they end, madvise does
        madvise(<void*>module.dli_fbase, status.st_size, MADV_POPULATE_READ)
    close(fd)


cpdef prepare():
    """Open and map what the intervals of this process need, which the first start would do otherwise."""
    global last_migrations, maximum_inherited
    cdef rusage usage
    cdef long total
    procfs.prepare()
    if batches.prepare():
        populate_code()
        maximum_inherited = (
            procfs.reset_high_water_mark() != 0
            or procfs.read_approximate(&total) != 0
            or getrusage(RUSAGE_SELF, &usage) != 0
            or usage.ru_maxrss * 1024 // page != total
        )
        if procfs.read_migrations(&last_migrations):
            last_migrations = -1
