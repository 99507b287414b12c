# cython: language_level=3
"""The counters of one stretch of code, read at its start and at its stop."""

from cyx.linux cimport rusage

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
    cdef long peak       # pages: the highest mark seen so far, inner intervals included
    cdef long threads    # alive at the stop
    cdef int reset_error
    cdef int read_error
    cdef bint running
    cdef readonly bint finished
    cdef Interval outer  # the next open interval of the process
    cpdef start(self)
    cpdef stop(self)
