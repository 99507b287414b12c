# cython: language_level=3
"""The counters of one stretch of code, read at its start and at its stop."""

from cyx.linux cimport rusage
from cyx.probes cimport procfs, smaps

cdef struct Snapshot:
    rusage process
    rusage thread
    rusage children
    long wall_ns
    long resident  # pages
    long shared    # pages


cdef class Interval:
    cdef Snapshot begin
    cdef Snapshot end
    cdef public bint narrow  # whether a stop may spend up to a millisecond on a narrower peak
    # The peak, in pages; what the names mean stands at note() in interval.pyx.
    cdef long floor
    cdef long mark
    cdef long limit
    cdef long start_total
    cdef long withheld_low
    cdef long withheld_high
    cdef long withheld_all
    cdef long cpus
    cdef int types       # the counters that moved, as flags of batches.pxd
    cdef bint disturbed  # an inner interval has reset the mark
    cdef long migrations
    cdef long own_minor_faults  # of starting and stopping inner intervals
    cdef long own_major_faults
    cdef public bint track_accessed  # whether the interval is to find out which memory is touched
    cdef smaps.Accessed largest      # the largest part that a reading showed
    cdef smaps.Accessed together     # the sum of all parts
    cdef int accessed_error
    cdef int reset_error
    cdef int read_error
    cdef bint running
    cdef readonly bint finished
    cdef Interval outer  # the next open interval of the process
    cdef void take_accessed(self)
    cdef void note(self, const procfs.Statm* memory, const procfs.Status* status, const rusage* usage)
    cdef void disown(self, const rusage* before, const rusage* after)
    cdef bint stayed(self)
    cdef void narrow_down(self, long threads)
    cpdef start(self)
    cpdef stop(self)
