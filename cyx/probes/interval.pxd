# cython: language_level=3
"""The counters of one stretch of code, read at its start and at its stop."""

from cyx.linux cimport rusage
from cyx.probes cimport malloc_calls, smaps, system_calls
from cyx.probes.peak cimport Peak
from cyx.probes.snapshot cimport Snapshot


cdef class Interval:
    cdef Snapshot begin
    cdef Snapshot end
    cdef public bint count_children  # whether the children reaped in between are asked for
    cdef public bint narrow  # whether a stop may spend up to a millisecond on a narrower peak
    cdef public bint drained  # whether the start may as well, for one that is narrow in the smallest intervals
    cdef Peak peak
    cdef long own_minor_faults  # of starting and stopping inner intervals
    cdef long own_major_faults
    cdef public bint track_accessed  # whether the interval is to find out which memory is touched
    cdef smaps.Accessed largest      # the largest part that a reading showed
    cdef smaps.Accessed together     # the sum of all parts
    cdef int accessed_error
    cdef public long tracepoint      # of raw_syscalls/sys_enter, where system calls are to be counted, else 0
    cdef system_calls.Counts calls_before
    cdef system_calls.Counts calls_after
    cdef int calls_error
    cdef bint holds_events  # it has open events, to be closed
    cdef public object counter       # a cyx.hooks.Counter that is to count allocations, or None
    cdef public bint count_mallocs
    cdef malloc_calls.Totals mallocs_before
    cdef malloc_calls.Totals mallocs_after
    cdef long heap_peak      # bytes, as inner intervals found it before they began it anew
    cdef bint holds_mallocs  # it counts
    cdef bint mallocs_known  # it has counted
    cdef int reset_error
    cdef int read_error
    cdef rusage entry    # of the thread, before anything was done for this interval
    cdef bint entered
    cdef readonly bint running
    cdef readonly bint finished
    cdef Interval outer  # the next open interval of the process
    cdef void take_accessed(self)
    cdef int open_events(self) except -1
    cdef void close_events(self)
    cdef void begin_mallocs(self)
    cdef void disown(self, const rusage* before, const rusage* after)
    cdef void weigh_peak(self, long threads)
    cdef int begin_reading(self) except -1
    cdef int end_reading(self) except -1
    cdef int require_finished(self) except -1
