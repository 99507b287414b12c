# cython: language_level=3, embedsignature=True
"""On which NUMA nodes memory lies and shall lie: the system calls of numa(7), for any range of addresses.

A policy is one of the words of POLICIES with the nodes that it names; "=static", "=relative" or "=balancing" after the
word is a flag of set_mempolicy(2). A refusal by the kernel is an OSError: EPERM (a container), ENOSYS (a kernel without
NUMA), EINVAL (no node of the policy has memory that this process may use, or the range does not begin with a page),
EFAULT (nothing is mapped there). A number that is no address or length is an OverflowError.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport ENODEV, errno
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memset

from cyx.linux cimport _SC_PAGESIZE, syscall, sysconf

import os

cdef extern from "<sys/syscall.h>" nogil:
    long SYS_mbind
    long SYS_set_mempolicy
    long SYS_get_mempolicy
    long SYS_move_pages
    long SYS_getcpu

cdef enum:
    NODES = 1024                  # the most that Linux can be built for
    WORD = 64
    WORDS = 16
    CHUNK = 512                   # pages asked about in one call
    MPOL_MF_STRICT = 1
    MPOL_MF_MOVE = 2
    MPOL_F_ADDR = 2
    MPOL_F_MEMS_ALLOWED = 4

# MPOL_* of set_mempolicy(2); the last two came with Linux 5.15 and 6.9, and C libraries do not name them.
POLICIES = {
    "default": 0,
    "preferred": 1,
    "bind": 2,
    "interleave": 3,
    "local": 4,
    "preferred-many": 5,
    "weighted-interleave": 6,
}
FLAGS = {"static": 1 << 15, "relative": 1 << 14, "balancing": 1 << 13}

cdef size_t page = sysconf(_SC_PAGESIZE)


cdef struct Mask:
    uint64_t words[WORDS]


cdef Mask mask_of(nodes) except *:
    cdef Mask mask
    memset(&mask, 0, sizeof(mask))
    for node in nodes:
        if not isinstance(node, int) or isinstance(node, bool) or not 0 <= node < NODES:
            raise ValueError(f"nodes: {node!r} is no number of a node, 0 to {NODES - 1}")
        mask.words[<int>node // WORD] |= <uint64_t>1 << (<int>node % WORD)
    return mask


cdef tuple nodes_in(const Mask* mask):
    return tuple([node for node in range(NODES) if mask.words[node // WORD] >> (node % WORD) & 1])


cdef object check(long outcome):
    if outcome < 0:
        raise OSError(errno, os.strerror(errno))


cdef int mode_of(str policy) except -1:
    word, *flags = policy.split("=")
    if word not in POLICIES or not FLAGS.keys() >= set(flags):
        raise ValueError(f"policy={policy!r}: choose from {', '.join(map(repr, POLICIES))}")
    return POLICIES[word] | sum({FLAGS[flag] for flag in flags})


cdef str policy_of(int mode):
    flags = "".join(f"={flag}" for flag, bit in FLAGS.items() if mode & bit)
    bare = mode & ~sum(FLAGS.values())
    return next((word for word, number in POLICIES.items() if number == bare), str(bare)) + flags


def address_of(buffer):
    """Return the address at which the memory of an object with the buffer protocol begins, and its bytes."""
    cdef Py_buffer view
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        return <uintptr_t>view.buf, view.len
    finally:
        PyBuffer_Release(&view)


def mbind(size_t address, size_t length, str policy not None, nodes=(), *, bint move=False, bint strict=False):
    """Set the policy by which the pages of a range are placed when they are first touched; see mbind(2).

    Args:
        move: also move the pages that this process has there alone and that the policy would not have placed there.
        strict: OSError with EIO where such a page is left.
    """
    cdef Mask mask = mask_of(nodes)
    cdef int mode = mode_of(policy)
    cdef unsigned long flags = (MPOL_MF_MOVE if move else 0) | (MPOL_MF_STRICT if strict else 0)
    cdef long outcome
    with nogil:
        outcome = syscall(SYS_mbind, address, length, <long>mode, &mask, <unsigned long>NODES + 1, flags)
    check(outcome)


def set_mempolicy(str policy not None, nodes=()):
    """Set the policy of the calling thread, for memory that has none of its own; see set_mempolicy(2)."""
    cdef Mask mask = mask_of(nodes)
    check(syscall(SYS_set_mempolicy, <long>mode_of(policy), &mask, <unsigned long>NODES + 1))


def get_mempolicy(address=None):
    """Return the policy of the mapping at this address, or of the calling thread, and the nodes that it names."""
    cdef Mask mask
    cdef int mode = 0
    cdef size_t at = 0 if address is None else address
    cdef unsigned long flags = 0 if address is None else MPOL_F_ADDR
    check(syscall(SYS_get_mempolicy, &mode, &mask, <unsigned long>NODES + 1, at, flags))
    return policy_of(mode), nodes_in(&mask)


def mems_allowed():
    """Return the nodes whose memory the calling thread may use: its cpuset's; see get_mempolicy(2)."""
    cdef Mask mask
    check(syscall(SYS_get_mempolicy, NULL, &mask, <unsigned long>NODES + 1, NULL, <unsigned long>MPOL_F_MEMS_ALLOWED))
    return nodes_in(&mask)


def current_node():
    """Return the node of the processor on which the calling thread runs at this moment; see getcpu(2)."""
    cdef unsigned int cpu = 0
    cdef unsigned int node = 0
    check(syscall(SYS_getcpu, &cpu, &node, NULL))
    return node


cdef object each_page(size_t address, size_t length, const int* targets, dict pages):
    """Ask for the pages of a range, or move them, and count them in ``pages`` by node; those on none are left out."""
    cdef void* addresses[CHUNK]
    cdef int statuses[CHUNK]
    cdef unsigned long count
    cdef unsigned long i
    cdef size_t first = address - address % page
    cdef size_t left
    cdef long outcome
    if length > <size_t>-1 - address:
        raise ValueError("length: the range ends beyond the last address")
    left = (address - first + length + page - 1) // page if length else 0
    while left:
        count = min(left, <size_t>CHUNK)
        for i in range(count):
            addresses[i] = <void*>(first + i * page)
            statuses[i] = -ENODEV  # what the kernel does not fill in is on no node
        with nogil:
            outcome = syscall(SYS_move_pages, 0L, count, addresses, targets, statuses, <long>MPOL_MF_MOVE)
        check(outcome)
        for i in range(count):
            if statuses[i] >= 0:
                pages[statuses[i]] = pages.get(statuses[i], 0) + 1
        first += count * page
        left -= count
        PyErr_CheckSignals()


def pages_by_node(size_t address, size_t length):
    """Return how many pages of the range are on each node, of those in memory; see move_pages(2).

    The kernel's page of zeros, which stands for memory that was read and never written, is on none.
    """
    pages = {}
    each_page(address, length, NULL, pages)
    return dict(sorted(pages.items()))


def move_pages(size_t address, size_t length, int node):
    """Move the pages of a range to a node, whatever their policy; return how many are on each node then.

    OSError with EACCES for a node outside the cpuset, ENODEV for one that is not there. Pages that are shared with
    other processes stay.
    """
    cdef int targets[CHUNK]
    cdef int i
    for i in range(CHUNK):
        targets[i] = node
    each_page(address, length, targets, {})
    return pages_by_node(address, length)
