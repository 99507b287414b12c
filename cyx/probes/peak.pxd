# cython: language_level=3
"""The peak of resident memory within an interval, bounded from the high-water mark."""

from cyx.linux cimport rusage
from cyx.probes cimport procfs
from cyx.probes.snapshot cimport Snapshot

cdef struct Peak:     # pages, where nothing else is said
    long start_total  # at the reset, or the mark that cannot be reset; -1: ru_maxrss of the start shows it
    long floor        # the largest exact resident set that was read
    long mark         # the largest total, where it showed
    long limit        # no total was higher
    long withheld_low   # pending in the pairs that did not move, at least
    long withheld_high  # ... and at most
    long cpus         # how many CPUs the interval may have run on
    int types         # the counters that may have moved, as flags of batches.pxd
    bint disturbed    # an inner interval has reset the mark
    long migrations   # of the main thread before the start; -1: unknown
    long threads      # at the start or the stop, the more; known only where they hold something back

cdef void prepare() noexcept nogil
cdef long switches(const rusage* usage) noexcept nogil
cdef void drain() noexcept nogil
cdef void lay_out(Peak* peak) noexcept nogil
cdef int begin(Peak* peak) noexcept nogil
cdef void note(
    Peak* peak, const Snapshot* start, const procfs.Statm* memory, const procfs.Status* status, const rusage* usage
) noexcept nogil
cdef void disturb(Peak* peak, int types) noexcept nogil
cdef int weigh(Peak* peak, const Snapshot* start, const Snapshot* stop, long threads, bint narrow) noexcept nogil
cdef void bound(const Peak* peak, const Snapshot* start, const Snapshot* stop, long* low, long* high) noexcept nogil
