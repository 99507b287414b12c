# cython: language_level=3
"""Descriptors that stay open from one window to the next, in a process whose tests open and close theirs."""

from cyx.linux cimport F_DUPFD_CLOEXEC, close, fcntl, file_status, fstat

cdef enum:
    FIRST_HIGH = 500

cdef struct Descriptor:
    int fd              # negative where there is none
    file_status opened  # what it was opened on


cdef inline void keep(Descriptor* descriptor, int fd) noexcept nogil:
    """Take over an open descriptor and move it up, out of the way of a test that closes or counts the low ones."""
    cdef int high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_HIGH)
    if high >= 0:  # RLIMIT_NOFILE may be lower than that
        close(fd)
        fd = high
    descriptor.fd = fd
    fstat(fd, &descriptor.opened)


cdef inline bint is_ours(const Descriptor* descriptor) noexcept nogil:
    """Tell whether nobody has closed the descriptor: by now it may be a file of the test's."""
    cdef file_status now
    return (
        descriptor.fd >= 0
        and fstat(descriptor.fd, &now) == 0
        and now.st_ino == descriptor.opened.st_ino
        and now.st_dev == descriptor.opened.st_dev
    )
