# cython: language_level=3, embedsignature=True
"""How many system calls the threads of this process enter, without those of the plugin itself.

Each thread that is there has a group of perf events on the tracepoint ``raw_syscalls/sys_enter``, which the threads
that it starts inherit. While the plugin works, the group of the thread on which it does so is off: ``pause`` and
``resume``. A pause enters two calls before the group is off, and these are taken off again; a resume enters none after
it is on:

    calls of the process = sum of the events over all groups - 2 x pauses

A thread without a group of its own, one that was started meanwhile, cannot be paused: then nothing is told.
"""

from libc.errno cimport EACCES, EINVAL, EMFILE, ENOENT, EPERM, ESRCH, errno
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, realloc

from cyx.linux cimport F_DUPFD_CLOEXEC, SYS_gettid, close, fcntl, getpid, read, syscall
from cyx.probes cimport procfs
from cyx.probes.descriptor cimport FIRST_HIGH

import os

from cyx.probes import perf

cdef extern from "own_code.h" nogil:
    void touch_code(long step)

cdef extern from "system_calls.h" nogil:
    int PERF_EVENT_IOC_ENABLE
    int PERF_EVENT_IOC_DISABLE
    int PERF_IOC_FLAG_GROUP
    int ioctl(int fd, unsigned long request, ...)
    int open_call_event(int thread, int leader, long tracepoint, int kind)
    uint64_t event_number(int fd)

cdef enum:
    CALLS_OF_A_PAUSE = 2  # which thread this is, and to switch the group off
    ATTEMPTS = 10         # to see all threads, where some are started meanwhile
    MOST_LEFT_OUT = 16

cdef struct Event:
    int fd
    uint64_t number  # all events have one inode

cdef struct Group:
    long thread
    bint off
    long own  # calls of its thread that the events have counted and that were the plugin's
    Event events[CALL_KINDS]

cdef long page = procfs.page_size()
cdef Group* groups = NULL
cdef long group_count = 0
cdef long users = 0          # intervals that count
cdef int owner = 0           # the process that opened the events
cdef bint unseen = False     # the plugin has worked on a thread that has no group
cdef long left_out[MOST_LEFT_OUT]  # the plugin's own threads


cdef void keep(Event* event, int fd) noexcept nogil:
    """Take over an open event and move it up, out of the way of a test that closes or counts the low descriptors."""
    cdef int high = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_HIGH)
    if high >= 0:  # RLIMIT_NOFILE may be lower than that
        close(fd)
        fd = high
    event.fd = fd
    event.number = event_number(fd)


cdef bint is_open(const Event* event) noexcept nogil:
    """Tell whether nobody has closed the event: by now it may be a file of the test's."""
    return event.fd >= 0 and event_number(event.fd) == event.number


cdef Group* own_group() noexcept nogil:
    """Return the group of the calling thread. In a fork there is none: the events are still the parent's."""
    cdef long thread = syscall(SYS_gettid)
    cdef long i
    for i in range(group_count):
        if groups[i].thread == thread:
            return &groups[i]
    return NULL


cdef void switch_on(Group* group) noexcept nogil:
    group.off = False
    ioctl(group.events[0].fd, PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP)


cdef void pause() noexcept nogil:
    """Count no calls of this thread from now on. It enters the same two calls each time, and nothing before them."""
    global unseen
    cdef Group* group
    if users == 0:
        return
    group = own_group()
    if group == NULL:
        unseen = True
    elif not group.off:
        ioctl(group.events[0].fd, PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP)
        group.off = True
        group.own += CALLS_OF_A_PAUSE


cdef void resume() noexcept nogil:
    """Count the calls of this thread again, right from the return of this function."""
    cdef Group* group
    if users == 0:
        return
    group = own_group()
    if group != NULL:
        switch_on(group)


cdef int read_counts(Counts* into) noexcept nogil:
    """Read what was counted so far, while this thread is paused. Return 0, or an errno: ESRCH for an unseen thread."""
    cdef unsigned long long value = 0
    cdef long i
    cdef int kind
    for kind in range(CALL_KINDS):
        into.entered[kind] = 0
    for i in range(group_count):
        for kind in range(CALL_KINDS):
            if not is_open(&groups[i].events[kind]):
                return ENOENT
            if read(groups[i].events[kind].fd, &value, sizeof(value)) != sizeof(value):
                return errno
            into.entered[kind] += value
        into.entered[0] -= groups[i].own
    return ESRCH if unseen else 0


cdef int begin(Counts* into) noexcept nogil:
    """Read as ``read_counts`` does, and have the other threads counted; this one is from ``resume`` on."""
    cdef Group* own = own_group()
    cdef int error = read_counts(into)
    cdef long i
    touch_code(page)
    for i in range(group_count):
        if users == 1 and &groups[i] != own:
            switch_on(&groups[i])
    return error


cdef void drop() noexcept nogil:
    """Close every event; those that a test has closed are not there, and nobody else's are closed."""
    global groups, group_count, users
    cdef long i
    cdef int kind
    for i in range(group_count):
        for kind in range(CALL_KINDS - 1, -1, -1):
            if is_open(&groups[i].events[kind]):
                close(groups[i].events[kind].fd)
    free(groups)
    groups = NULL
    group_count = users = 0


cdef void close_events() noexcept nogil:
    """Let go of what ``open_events`` has opened, once for each time."""
    global users
    if users == 1:
        drop()
    elif users:
        users -= 1


cdef int add_group(long thread, long tracepoint):
    """Open the events of one thread. Return 0, or an errno."""
    global groups, group_count
    cdef Group* group
    cdef int kind, fd
    cdef Group* more = <Group*>realloc(groups, (group_count + 1) * sizeof(Group))
    if more == NULL:
        raise MemoryError()
    groups = more
    group = &groups[group_count]
    group.thread = thread
    group.off = True
    group.own = 0
    for kind in range(CALL_KINDS):
        group.events[kind].fd = -1
    group_count += 1
    for kind in range(CALL_KINDS):
        fd = open_call_event(thread, group.events[0].fd, tracepoint, kind)
        if fd < 0:
            return -fd
        keep(&group.events[kind], fd)
    return 0


cdef set threads():
    """Return the threads of this process that are not the plugin's."""
    cdef int i
    return {int(name) for name in os.listdir("/proc/self/task")} - {left_out[i] for i in range(MOST_LEFT_OUT)}


cdef int open_events(long tracepoint):
    """Have the events of all threads open, each group off. Return 0, or an errno; it faults and allocates."""
    global users, owner, unseen
    cdef int error = 0
    cdef int _attempt
    if users and owner == getpid():
        users += 1
        return 0
    drop()  # in a fork: what the parent has opened
    for _attempt in range(ATTEMPTS):
        try:
            found = threads()
        except OSError as failed:  # no descriptor is left
            return failed.errno
        for thread in found:
            error = add_group(thread, tracepoint)
            if error:
                break
        if error == 0 and threads() <= found:  # else one was started that may have inherited the events, or not
            owner = getpid()
            users = 1
            unseen = False
            return 0
        drop()
        if error not in (0, ESRCH):  # ESRCH: a thread has just ended
            return error
    return ESRCH


cdef void leave_out(long thread) noexcept nogil:
    """Count no calls of this thread, which is the plugin's own."""
    global unseen
    cdef int i
    if users:
        unseen = True  # it has inherited the events
    for i in range(MOST_LEFT_OUT):
        if left_out[i] == 0:
            left_out[i] = thread
            return


cdef void leave_out_no_more(long thread) noexcept nogil:
    """Forget that thread, which has ended."""
    cdef int i
    for i in range(MOST_LEFT_OUT):
        if left_out[i] == thread:
            left_out[i] = 0


def reason_of(int error):
    """Return why system calls could not be counted, by an ``errno``, in words that name the mend."""
    if error == ESRCH:
        return (
            "a window was opened or closed by a thread or a fork that was started meanwhile, whose own calls cannot be "
            "told apart: open windows in threads that are there before"
        )
    if error == ENOENT:
        return "the test closed the descriptors of the counters: have it close its own"
    if error == EACCES:
        return (
            "perf tracepoints are not allowed to this user: "
            "set kernel.perf_event_paranoid to 1 or less, or grant CAP_PERFMON"
        )
    if error == EINVAL:
        return "the kernel cannot count the threads of one process: run Linux 5.13 or newer"
    if error == EMFILE:
        return f"no descriptor is left: raise the limit on open files by {CALL_KINDS} for each thread"
    if error == EPERM:
        return perf.reason_of(EPERM)
    return f"the counters of system calls failed ({os.strerror(error)})"


def unavailable(long tracepoint):
    """Return why this process may not count its system calls, or None where it may.

    Args:
        tracepoint: the number of the tracepoint ``raw_syscalls/sys_enter``.
    """
    cdef int error = -open_call_event(0, -1, tracepoint, 0)
    if error > 0:
        return reason_of(error)
    close(-error)
    return None
