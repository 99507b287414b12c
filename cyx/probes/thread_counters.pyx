# cython: language_level=3, embedsignature=True, cdivision=True
"""What threads hold back of the kernel's resident-set counters before Linux 6.2, and how to have it added.

There each thread collects the pages that its faults brought, and adds them to the counters of the process after 64
faults (``check_sync_rss_stat``, mm/memory.c); a fault on a file brings those around it as well. Whatever is given back
is counted at once, and what the thread holds is added with it (``add_mm_rss_vec``). So

    exact = total of the counters + sum of what threads hold,   0 <= what one holds <= 66 faults of 64 KiB each

That also holds for the high-water mark. Giving back a page that was never touched changes nothing, takes no fault, and
adds what the calling thread holds: then it is only others that can hold something.
"""

from cyx.linux cimport MADV_DONTNEED, madvise
from cyx.probes cimport procfs
from cyx.probes.scratch cimport Scratch, give_back, map_scratch, touch

cdef enum:
    MOST_FAULTS = 66           # the last of them begins before the others are added
    FAULT_AROUND = 64 * 1024   # bytes, fault_around_bytes in mm/memory.c
    ATTEMPTS = 8               # what runs for the first time brings pages of its code along
    PAGES = 2 + 2 * ATTEMPTS

cdef long page = procfs.page_size()
cdef char* idle = NULL  # a page that nobody touches, beside one that is there; NULL where threads hold nothing back
cdef bint looked = False


cdef void prepare() noexcept nogil:
    """Look, once, whether threads hold something back here. It faults: to be called before a window."""
    global idle, looked
    cdef Scratch scratch
    cdef procfs.Statm before, hidden, added
    cdef int _attempt
    if looked or map_scratch(0, PAGES, &scratch):
        return
    looked = True
    touch(&scratch, 0)
    idle = scratch.start + (PAGES - 1) * page
    for _attempt in range(ATTEMPTS):
        add_up()
        procfs.read_statm(&before)
        touch(&scratch, 0)
        touch(&scratch, 0)
        procfs.read_statm(&hidden)
        add_up()
        procfs.read_statm(&added)
        if hidden.resident == before.resident and added.resident == before.resident + 2:
            return  # the pages stay for as long as the process lives
    idle = NULL
    give_back(&scratch)


cdef bint hold_back() noexcept nogil:
    return idle != NULL


cdef void add_up() noexcept nogil:
    """Have what this thread holds back added to the counters; no fault, and nothing else, comes of it."""
    if idle != NULL:
        madvise(idle, page, MADV_DONTNEED)


cdef long most_held(long threads, long faults) noexcept nogil:
    """Return how many pages may be held back: by this thread since it took so many faults, and by the others."""
    return (min(MOST_FAULTS, faults) + max(0, threads - 1) * MOST_FAULTS) * max(1, FAULT_AROUND // page)
