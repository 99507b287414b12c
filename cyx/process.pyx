# cython: language_level=3, embedsignature=True
"""What a process asks of the kernel about itself: where its memory lies, and when it dies."""

from libc.errno cimport errno

import os

cdef extern from "<sys/personality.h>" nogil:
    int personality(unsigned long persona)

cdef extern from "<sys/prctl.h>" nogil:
    int PR_SET_CHILD_SUBREAPER
    int PR_SET_PDEATHSIG
    int prctl(int option, unsigned long argument)

cdef enum:
    ADDR_NO_RANDOMIZE = 0x0040000
    QUERY = 0xFFFFFFFF


cdef object check(int outcome, str what):
    if outcome == -1:
        raise OSError(errno, os.strerror(errno), what)
    return outcome


def personality_flags():
    """Return the flags of personality(2) under which the calling thread runs. OSError where that is forbidden."""
    return check(personality(QUERY), "personality")


def set_personality(unsigned long flags):
    """Set the flags of personality(2) for the calling thread and what it executes later; return the former ones.

    OSError where a container forbids it.
    """
    return check(personality(flags), "personality")


def fixed_addresses(unsigned long flags):
    """Return the flags with address randomisation switched off."""
    return flags | ADDR_NO_RANDOMIZE


def addresses_are_fixed():
    """Tell whether this process was executed without address randomisation; False where the kernel does not say."""
    cdef int flags = personality(QUERY)
    return flags != -1 and (flags & ADDR_NO_RANDOMIZE) != 0


def other_threads():
    """Return the names of the threads of this process but its first one; see proc_pid_comm(5)."""
    names = []
    main = os.getpid()
    for number in sorted(map(int, os.listdir("/proc/self/task"))):
        if number != main:
            with open(f"/proc/self/task/{number}/comm") as file:
                names.append(file.read().strip())
    return names


def die_with_parent(int signal_number):
    """Have the kernel send this signal when the thread that forked this process ends; see PR_SET_PDEATHSIG(2const)."""
    check(prctl(PR_SET_PDEATHSIG, signal_number), "PR_SET_PDEATHSIG")


def adopt_orphans():
    """Become the parent of descendants whose own parent ends, instead of init; see PR_SET_CHILD_SUBREAPER(2const)."""
    check(prctl(PR_SET_CHILD_SUBREAPER, 1), "PR_SET_CHILD_SUBREAPER")


def children(int pid):
    """Return the process ids of a process's children, or none where it is gone or the kernel does not list them.

    See proc_pid_task_children(5): Linux 4.2, built with CONFIG_PROC_CHILDREN.
    """
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    except OSError:
        pass
    return found
