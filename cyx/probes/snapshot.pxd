# cython: language_level=3
"""The counters at one end of an interval."""

from cyx.linux cimport rusage

cdef struct Snapshot:
    rusage process
    rusage thread
    rusage children
    long wall_ns
    long resident  # pages
    long shared    # pages
