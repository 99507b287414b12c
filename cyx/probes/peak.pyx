# cython: language_level=3, embedsignature=True
"""The peak of resident memory within an interval, bounded from the high-water mark.

How the peak P of the exact resident set follows from the high-water mark, which the kernel keeps from totals that lack
the pending numbers of each pair of page type and CPU (see batches.pyx). The mark M is the largest total at any instant
of the interval: before memory is given back it is brought up to date. With k pairs that moved, U pages pending in the
others (the same number all the time), and at most b - 1 pages pending in a pair:

- when the exact set was at its peak, the total was at most M, so  P <= M + U + k (b - 1);
- when the total was M, the exact set was at least  M + U - k (b - 1)  and at most P. If the total rose within the
  interval, then M was reached by a fold, which leaves nothing pending in its own pair: k - 1 instead of k.

So P lies in an interval of (2 k - 1) (b - 1) pages: for one thread that stayed on its CPU and moved one type (k = 1)
one batch, one-sided. U is found after the stop (``batches.settle``), or else bounded by the sum of all pending numbers.

Where the total did not rise, less than a batch moved in each pair, and nothing tells in which: all three types may
have. Where it did, anonymous memory is always taken to have moved; files and shared memory where their exact number at
the ends differs or their pending number is not what the last visit left. What this cannot see: a mapping of these that
comes and goes within such an interval and is smaller than a batch or given back page by page. Then the peak may lie
outside the bounds by a batch for each CPU and such type.

Where the mark cannot be reset, it says as much of an interval that raised it, and bounds the others from above.

Before Linux 6.2 it is threads that hold something back, of which the mark lacks all (thread_counters.pyx); threads that
came and went within the interval are not seen.

A ``drain`` before the start does away with both for a thread that stays on its CPU: it leaves b - 1 pages pending in
each pair there, so that one page more of any type is folded, seen in the total, and found in what is pending.
"""

from libc.limits cimport LONG_MAX

from cyx.linux cimport RUSAGE_SELF, RUSAGE_THREAD, SYS_gettid, getpid, getrusage, rusage, syscall
from cyx.probes cimport batches, procfs, thread_counters
from cyx.probes.snapshot cimport Snapshot

cdef enum:
    ALL = batches.ANONYMOUS | batches.FILE | batches.SHARED

cdef long page = procfs.page_size()
cdef long last_migrations = -1  # as last read; -1 where it cannot be
cdef bint maximum_inherited = False  # ru_maxrss shows what was there before an exec, not the total after a reset


cdef void read_migrations() noexcept nogil:
    global last_migrations
    if procfs.read_migrations(&last_migrations):
        last_migrations = -1


cdef void prepare() noexcept nogil:
    """Find, once for each process, what the first interval would have to find otherwise."""
    global maximum_inherited
    cdef rusage usage
    cdef long total
    if batches.prepare():
        maximum_inherited = (
            procfs.reset_high_water_mark() != 0
            or procfs.read_approximate(&total) != 0
            or getrusage(RUSAGE_SELF, &usage) != 0
            or usage.ru_maxrss * 1024 // page != total
        )
        read_migrations()


cdef void drain() noexcept nogil:
    """Leave known numbers pending: what moved before is not taken for the interval's, and what moves in it shows."""
    cdef batches.Pending ignored
    if batches.settle(True, &ignored) == 0 or batches.settle(False, &ignored) == 0:
        batches.charge()
    read_migrations()


cdef void lay_out(Peak* peak) noexcept nogil:
    """Take over what was known before the start."""
    peak.migrations = last_migrations


cdef int begin(Peak* peak) noexcept nogil:
    """Let the high-water mark start again; return 0 or an errno value."""
    cdef procfs.Status status
    cdef int error = procfs.reset_high_water_mark()
    peak.start_total = -1
    if error:
        peak.start_total = status.high_water_mark // page if procfs.read_status(&status) == 0 else LONG_MAX
    elif maximum_inherited:
        procfs.read_approximate(&peak.start_total)
    return error


cdef void note(
    Peak* peak, const Snapshot* start, const procfs.Statm* memory, const procfs.Status* status, const rusage* usage
) noexcept nogil:
    """Take over what the mark shows, before it is reset or at the end.

    VmHWM is the larger of the mark and the exact set now (fs/proc/task_mmu.c), so it is the mark only where it is above
    VmRSS; ru_maxrss is the mark or more (kernel/sys.c: an exec leaves its own there).
    """
    cdef long resident = status.resident // page
    cdef long shown = status.high_water_mark // page
    peak.floor = max(peak.floor, resident)
    peak.limit = max(peak.limit, min(shown, usage.ru_maxrss * 1024 // page))
    if shown > resident:
        peak.mark = max(peak.mark, shown)
    if memory.shared != start.shared or usage.ru_majflt != start.process.ru_majflt:
        peak.types |= batches.FILE | (batches.SHARED if status.shared > 0 else 0)


cdef void disturb(Peak* peak, int types) noexcept nogil:
    """Remember that the mark was reset within the interval, and which types may have moved in it."""
    peak.types |= types
    peak.disturbed = True


cdef long switches(const rusage* usage) noexcept nogil:
    return usage.ru_nvcsw + usage.ru_nivcsw


cdef bint stayed(const Peak* peak, const Snapshot* start) noexcept nogil:
    """Tell whether the code, and all since, ran on this one CPU: one thread, and no switch or no migration."""
    cdef rusage before, thread, process
    cdef long migrations
    cdef int _attempt
    for _attempt in range(3):
        getrusage(RUSAGE_SELF, &before)
        getrusage(RUSAGE_THREAD, &thread)
        getrusage(RUSAGE_SELF, &process)
        if switches(&before) == switches(&process):  # not switched between the readings
            break
    if switches(&process) == switches(&start.process):
        return True
    if switches(&process) - switches(&start.process) != switches(&thread) - switches(&start.thread):
        return False
    if peak.migrations < 0 or syscall(SYS_gettid) != getpid() or procfs.read_migrations(&migrations):
        return False
    return migrations == peak.migrations


cdef bint other_threads_faulted(const Snapshot* start, const Snapshot* stop) noexcept nogil:
    return stop.process.ru_minflt - start.process.ru_minflt != stop.thread.ru_minflt - start.thread.ru_minflt


cdef long total_of_start(const Peak* peak, const Snapshot* start) noexcept nogil:
    return peak.start_total if peak.start_total >= 0 else start.process.ru_maxrss * 1024 // page


cdef bint folded(const Peak* peak, const Snapshot* start) noexcept nogil:
    """Tell whether the total rose above that of the start."""
    cdef long total = total_of_start(peak, start)
    return peak.mark > total or (not maximum_inherited and peak.limit > total)


cdef int weigh(Peak* peak, const Snapshot* start, const Snapshot* stop, long threads, bint narrow) noexcept nogil:
    """Find or bound what is pending in the pairs that did not move, and how many did; return the types seen to move.

    To be called after the last ``note``; a narrow peak costs up to a millisecond, and resets the mark.
    """
    cdef batches.Pending pending
    cdef long slack, total
    cdef long cpus = batches.cpu_count()
    cdef bint one_cpu = threads == 1 and not other_threads_faulted(start, stop) and stayed(peak, start)
    cdef bint found = False
    cdef int type, seen
    if narrow:
        found = one_cpu and batches.settle(False, &pending) == 0 and stayed(peak, start)
        if not found:
            one_cpu = False
            found = batches.settle(True, &pending) == 0
    seen = peak.types | (pending.moved if found else ALL)
    peak.types = seen if folded(peak, start) else ALL  # less than a batch leaves no trace of its type
    peak.cpus = 1 if one_cpu else cpus
    if found:
        peak.withheld_low = pending.everything
        for type in range(batches.TYPES):
            if peak.types & (1 << type):
                peak.withheld_low -= pending.of_type[type]
        peak.withheld_high = peak.withheld_low
    else:
        slack = batches.batch_pages() - 1
        peak.withheld_high = slack * batches.TYPES * (cpus - peak.cpus)
        peak.withheld_low = -peak.withheld_high
        if not batches.statm_is_exact():  # then the start and the end are totals too
            peak.withheld_high = slack * 2 * batches.TYPES * cpus
            peak.withheld_low = -peak.withheld_high
        elif not narrow and procfs.read_approximate(&total) == 0:
            total = stop.resident - total
            peak.withheld_low = max(peak.withheld_low, total - slack * batches.TYPES * peak.cpus)
            peak.withheld_high = min(peak.withheld_high, total + slack * batches.TYPES * peak.cpus)
    if narrow:
        procfs.reset_high_water_mark()
        read_migrations()
    return seen


cdef void bound(const Peak* peak, const Snapshot* start, const Snapshot* stop, long* low, long* high) noexcept nogil:
    """Find the pages between which the peak of the exact resident set lies."""
    cdef long faults
    cdef long slack = batches.batch_pages() - 1
    cdef long pairs = peak.cpus * ((peak.types & 1) + (peak.types >> 1 & 1) + (peak.types >> 2 & 1))
    low[0] = max(start.resident, stop.resident, peak.floor)
    if thread_counters.hold_back():
        faults = stop.process.ru_minflt + stop.process.ru_majflt - start.process.ru_minflt - start.process.ru_majflt
        low[0] = max(low[0], peak.mark)
        high[0] = max(low[0], peak.limit + thread_counters.most_held(peak.threads, faults))
        return
    if peak.mark > total_of_start(peak, start):
        low[0] = max(low[0], peak.mark + peak.withheld_low - slack * (pairs if peak.disturbed else pairs - 1))
    high[0] = max(low[0], peak.limit + peak.withheld_high + slack * pairs)
