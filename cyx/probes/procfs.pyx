# cython: language_level=3, embedsignature=True
"""The process's own memory as /proc tells it.

The C functions of ``procfs.pxd`` read through descriptors opened beforehand into buffers on the stack: nothing is
allocated between the start and the stop of a window. They return 0 or an ``errno`` value.
"""

from libc.errno cimport EBADF, ENODATA, errno
from libc.stdlib cimport strtol
from libc.string cimport strstr

from cyx.linux cimport (
    _SC_PAGESIZE,
    O_CLOEXEC,
    O_RDONLY,
    O_WRONLY,
    close,
    getpid,
    open,
    pread,
    sysconf,
    write,
)

import os

cdef enum:
    # /proc/self/status has about 1,500 bytes; what grows with the machine (the CPU masks) stands at its end.
    BUFFER = 4096

cdef int owner = -1  # the process that opened the descriptors: after a fork they would show the parent
cdef int statm_fd = -1
cdef int status_fd = -1
cdef long bytes_per_page = sysconf(_SC_PAGESIZE)


cdef long page_size() noexcept nogil:
    return bytes_per_page


cdef void prepare() noexcept nogil:
    """Open the files, once for each process; to be called before a window, as opening allocates in the kernel."""
    global owner, statm_fd, status_fd
    cdef int pid = getpid()
    if owner == pid:
        return
    if owner != -1:  # a fork: these are copies of the parent's descriptors, ours to close
        close(statm_fd)
        close(status_fd)
    statm_fd = open(b"/proc/self/statm", O_RDONLY | O_CLOEXEC)
    status_fd = open(b"/proc/self/status", O_RDONLY | O_CLOEXEC)
    owner = pid


cdef int read_text(int fd, char* text) noexcept nogil:
    cdef long length
    if fd < 0:
        return EBADF
    length = pread(fd, text, BUFFER - 1, 0)
    if length < 0:
        return errno
    text[length] = 0
    return 0


cdef int read_statm(Statm* into) noexcept nogil:
    cdef char text[BUFFER]
    cdef char* place = text
    cdef int error = read_text(statm_fd, text)
    if error:
        return error
    strtol(place, &place, 10)  # the size of the address space
    into.resident = strtol(place, &place, 10)
    into.shared = strtol(place, &place, 10)
    return 0 if into.resident > 0 else ENODATA


cdef int read_status(Status* into) noexcept nogil:
    cdef char text[BUFFER]
    cdef char* place
    cdef int error = read_text(status_fd, text)
    if error:
        return error
    place = strstr(text, b"VmHWM:")
    if place == NULL:
        return ENODATA
    into.high_water_mark = strtol(place + 6, NULL, 10) * 1024
    place = strstr(text, b"Threads:")
    into.threads = strtol(place + 8, NULL, 10) if place != NULL else 0
    return 0


cdef int write_clear_refs(const char* command) noexcept nogil:
    # Opened anew each time: a kept descriptor that a test closed could by now be a file of the test's.
    cdef int error = 0
    cdef int fd = open(b"/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)
    if fd < 0:
        return errno
    if write(fd, command, 1) != 1:
        error = errno
    close(fd)
    return error


cdef int reset_high_water_mark() noexcept nogil:
    return write_clear_refs(b"5")


cdef int clear_referenced() noexcept nogil:
    return write_clear_refs(b"1")


cdef object check(int error, str path):
    if error:
        raise OSError(error, os.strerror(error), path)


def statm():
    """Return (resident, file and shared) memory of this process in bytes; see proc_pid_statm(5).

    Exact on kernels that sum the per-CPU counters (6.2 and newer), else up to a batch per CPU off.
    """
    cdef Statm reading
    prepare()
    check(read_statm(&reading), "/proc/self/statm")
    return reading.resident * bytes_per_page, reading.shared * bytes_per_page


def high_water_mark():
    """Return VmHWM in bytes: the peak of the resident set since the last reset; see proc_pid_status(5)."""
    cdef Status reading
    prepare()
    check(read_status(&reading), "/proc/self/status")
    return reading.high_water_mark


def reset_peak():
    """Let VmHWM start again from what is resident now (``5`` to /proc/self/clear_refs, proc_pid_clear_refs(5))."""
    check(reset_high_water_mark(), "/proc/self/clear_refs")


def clear_accessed():
    """Clear the accessed bit of every page of this process (``1`` to /proc/self/clear_refs).

    The TLB is not flushed by it: a page that is hot at this moment may be missed later.
    """
    check(clear_referenced(), "/proc/self/clear_refs")
