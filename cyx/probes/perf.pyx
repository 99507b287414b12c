# cython: language_level=3, embedsignature=True
"""Page faults as the kernel's perf events count them: an independent witness of getrusage.

See perf_event_open(2). What forbids them is a reason in words, never a crash.
"""

from libc.errno cimport EACCES, EINTR, EINVAL, EMFILE, ENOENT, ENOSYS, EPERM, errno
from libc.string cimport memset

from cyx.linux cimport SYS_perf_event_open, close, read, syscall

import os

cdef extern from "<linux/perf_event.h>" nogil:
    struct perf_event_attr:
        unsigned int type
        unsigned int size
        unsigned long long config
        unsigned int disabled
        unsigned int inherit
        unsigned int exclude_kernel
        unsigned int exclude_hv
    int PERF_TYPE_HARDWARE
    int PERF_TYPE_SOFTWARE
    int PERF_COUNT_HW_CPU_CYCLES
    int PERF_COUNT_SW_PAGE_FAULTS
    int PERF_COUNT_SW_PAGE_FAULTS_MIN
    int PERF_COUNT_SW_PAGE_FAULTS_MAJ
    int PERF_FLAG_FD_CLOEXEC
    int PERF_EVENT_IOC_ENABLE
    int PERF_EVENT_IOC_DISABLE
    int PERF_EVENT_IOC_RESET

cdef extern from "<sys/ioctl.h>" nogil:
    int ioctl(int fd, unsigned long request, ...)

PARANOID = "/proc/sys/kernel/perf_event_paranoid"


cdef int open_counter(int kind, int event, bint user_only, bint children) noexcept nogil:
    cdef perf_event_attr attributes
    cdef int fd
    memset(&attributes, 0, sizeof(attributes))
    attributes.type = kind
    attributes.size = sizeof(attributes)
    attributes.config = event
    attributes.disabled = 1
    attributes.inherit = children
    attributes.exclude_kernel = user_only
    attributes.exclude_hv = user_only
    while True:
        fd = syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC)
        if fd >= 0 or errno != EINTR:
            return fd if fd >= 0 else -errno


def reason_of(int error, paranoid=None):
    """Return why perf_event_open failed with this errno, in words that name the mend.

    Args:
        error: the ``errno`` value.
        paranoid: the text of /proc/sys/kernel/perf_event_paranoid; None where it cannot be read.
    """
    level = (paranoid or "").strip()
    strict = level.lstrip("-").isdigit() and int(level) > 2
    if error in (EACCES, EPERM) and strict:
        return f"perf events are for the superuser here: set kernel.perf_event_paranoid to 2 or less (it is {level})"
    if error == EACCES:
        return f"perf events are not allowed to this user: set kernel.perf_event_paranoid to 2 or less (it is {level})"
    if error == EPERM:
        return "perf_event_open(2) is forbidden here, as containers do by seccomp: allow it, or grant CAP_PERFMON"
    if error == ENOENT:
        return "the kernel knows no such perf event: use a machine with this counter; many virtual ones have no PMU"
    if error == ENOSYS:
        return "perf_event_open(2) is not there: run a kernel with CONFIG_PERF_EVENTS, or let seccomp allow it"
    if error == EMFILE:
        return "no descriptor is left for a perf event: raise the limit on open files"
    if error == EINVAL:
        return "the kernel refuses this perf event: it is older than the event"
    return f"perf_event_open(2) fails ({os.strerror(error)})"


cdef object paranoid_level():
    try:
        with open(PARANOID) as file:
            return file.read()
    except OSError:
        return None


cdef class FaultCounter:
    """Counts page faults of the calling thread and of the threads and children that it starts from now on.

    Faults that the kernel takes for itself, as for MAP_POPULATE or mlock, are not counted by perf. Where only
    ``user_only`` counting is allowed, those inside system calls are missed as well.

    Args:
        children: count the threads and processes that are started later too.

    Raises:
        PermissionError: the kernel or a seccomp filter forbids it; the text says which and what mends it.
        OSError: there is no such event here.
    """

    cdef int minor_fd
    cdef int major_fd
    cdef readonly bint user_only

    def __cinit__(self):
        self.minor_fd = -1
        self.major_fd = -1

    def __init__(self, *, bint children=True):
        cdef int minor, major
        minor = open_counter(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN, False, children)
        if minor in (-EACCES, -EPERM):
            self.user_only = True
            minor = open_counter(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN, True, children)
        if minor < 0:
            raise OSError(-minor, reason_of(-minor, paranoid_level()))
        self.minor_fd = minor
        major = open_counter(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ, self.user_only, children)
        if major < 0:
            raise OSError(-major, reason_of(-major, paranoid_level()))
        self.major_fd = major

    def __dealloc__(self):
        self._close()

    cdef void _close(self):
        if self.minor_fd >= 0:
            close(self.minor_fd)
        if self.major_fd >= 0:
            close(self.major_fd)
        self.minor_fd = self.major_fd = -1

    cpdef start(self):
        """Count from 0 on."""
        ioctl(self.minor_fd, PERF_EVENT_IOC_RESET, 0)
        ioctl(self.major_fd, PERF_EVENT_IOC_RESET, 0)
        ioctl(self.major_fd, PERF_EVENT_IOC_ENABLE, 0)
        ioctl(self.minor_fd, PERF_EVENT_IOC_ENABLE, 0)

    cpdef stop(self):
        """Count no further."""
        ioctl(self.minor_fd, PERF_EVENT_IOC_DISABLE, 0)
        ioctl(self.major_fd, PERF_EVENT_IOC_DISABLE, 0)

    def close(self):
        """Give the descriptors back; also done when the object goes."""
        self._close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.stop()

    cdef _read(self, int fd):
        cdef unsigned long long count = 0
        if fd < 0 or read(fd, &count, sizeof(count)) != sizeof(count):
            raise OSError(errno, "the perf event is closed")
        return count

    @property
    def minor_faults(self):
        """Page faults served without I/O, so far."""
        return self._read(self.minor_fd)

    @property
    def major_faults(self):
        """Page faults that waited for I/O, so far."""
        return self._read(self.major_fd)


def unavailable():
    """Return why perf cannot count page faults here, or None where it can."""
    try:
        FaultCounter().close()
    except OSError as error:
        return error.strerror
    return None


def cycles_unavailable():
    """Return why perf cannot count the processor's cycles here, or None where it can."""
    cdef int fd = open_counter(PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, True, False)
    if fd < 0:
        return reason_of(-fd, paranoid_level())
    close(fd)
    return None
