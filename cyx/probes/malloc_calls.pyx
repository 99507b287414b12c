# cython: language_level=3, embedsignature=True
"""What goes through malloc in a process that was started with the library that counts it (preload.c).

Nothing is allocated between a reading and the code that is measured, and what the plugin takes on a thread between
``pause`` and ``resume`` is not counted as that of an interval that is open.
"""

from cyx.probes cimport procfs

cdef extern from "own_code.h" nogil:
    void touch_code(long step)

cdef extern from "preload.h" nogil:
    enum:
        PRELOAD_CLASSES
    ctypedef struct preload_counts:
        long frees
        long reallocs
        long requested
        long live
        long peak
        long sizes[PRELOAD_CLASSES]
    const char* PRELOAD_READ
    const char* PRELOAD_RESET_PEAK
    const char* PRELOAD_PAUSE

cdef extern from "<dlfcn.h>" nogil:
    void* RTLD_DEFAULT
    void* dlsym(void* handle, const char* name)

cdef enum:
    SMALL = 9    # bits of the largest size: 512 bytes, the most that CPython's own allocator takes
    MEDIUM = 17  # 128 KiB, from which on glibc maps blocks

ctypedef void (*Reader)(preload_counts*) noexcept nogil
ctypedef void (*Act)() noexcept nogil
ctypedef void (*Switch)(int) noexcept nogil

cdef long page = procfs.page_size()
cdef Reader read_counts = <Reader>dlsym(RTLD_DEFAULT, PRELOAD_READ)
cdef Act reset_peak = <Act>dlsym(RTLD_DEFAULT, PRELOAD_RESET_PEAK)
cdef Switch switch_off = <Switch>dlsym(RTLD_DEFAULT, PRELOAD_PAUSE)


cdef bint there() noexcept nogil:
    """Tell whether the library was loaded into this process."""
    return read_counts != NULL and reset_peak != NULL and switch_off != NULL


cdef void read(Totals* into) noexcept nogil:
    """Read the counters."""
    cdef preload_counts counts
    cdef int bits
    read_counts(&counts)
    into.frees = counts.frees
    into.reallocs = counts.reallocs
    into.requested = counts.requested
    into.live = counts.live
    into.peak = counts.peak
    into.small = into.medium = into.large = 0
    for bits in range(PRELOAD_CLASSES):
        if bits <= SMALL:
            into.small += counts.sizes[bits]
        elif bits <= MEDIUM:
            into.medium += counts.sizes[bits]
        else:
            into.large += counts.sizes[bits]
    into.mallocs = into.small + into.medium + into.large


cdef void begin(Totals* into) noexcept nogil:
    """Begin the peak anew, and read the counters."""
    touch_code(page)
    reset_peak()
    read(into)


cdef void pause() noexcept nogil:
    """Count no calls of this thread from now on."""
    switch_off(1)


cdef void resume() noexcept nogil:
    """Count them again."""
    switch_off(0)


def counted():
    """Tell whether malloc is counted in this process."""
    return there()
